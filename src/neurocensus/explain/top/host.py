"""The k best examples of each unit on the host, in NumPy. `device` does the same with torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...arrays import is_torch
from ..views import View

Reals = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def peaks(view: View) -> Reals:
    """The largest finite value of each unit on each example, float64 (units, examples); -inf for none."""
    values = view.values if view.keep is None else np.where(view.keep, view.values, _lowest(view.values))
    largest = _largest(values)
    if not (largest < np.inf).all():  # an infinity or NaN came out on top; what is below it is not known
        largest = _largest(np.where(np.isfinite(values), values, _lowest(values)))
    out: Reals = largest.T.astype(np.float64) + 0.0  # no -0.0
    return out


class HostBest:
    """Two NumPy arrays (units, k): `values`, the largest first, -inf for none; `examples`, -1 for none.

    Where a unit has fewer than k, these -inf are enough to fill it up, and they come before any other -inf.
    """

    device = None

    def __init__(self, units: int, k: int) -> None:
        self.values: Reals = np.full((units, k), -np.inf)
        self.examples: Indices = np.full((units, k), -1, np.int64)

    def append(self, new: Any, first: int) -> None:
        """Take in `peaks` of the examples `first` and on, which all come after those so far.

        As they come after, they lose against equals: only units that have a larger value are looked at.
        """
        peaks, k = self._here(new), self.values.shape[1]
        rows = np.flatnonzero(peaks.max(axis=1, initial=-np.inf) > self.values[:, -1])
        joined = np.concatenate([self.values[rows], peaks[rows]], axis=1)
        order = np.argsort(-joined, axis=1, kind="stable")[:, :k]
        known = np.take_along_axis(self.examples[rows], np.minimum(order, k - 1), 1)
        self.values[rows] = np.take_along_axis(joined, order, 1)
        self.examples[rows] = np.where(order < k, known, order - k + first)

    def join(self, values: Any, examples: Any) -> None:
        """Take in values of any examples, both (units, candidates); an example counts by its largest one."""
        k = self.values.shape[1]
        candidates = np.concatenate([self.values, self._here(values)], axis=1)
        numbers = np.concatenate([self.examples, self._here(examples)], axis=1)
        order = np.lexsort((-candidates, numbers), axis=1)
        candidates, numbers = (np.take_along_axis(a, order, 1) for a in (candidates, numbers))
        again = numbers[:, 1:] == numbers[:, :-1]
        candidates[:, 1:][again] = -np.inf
        order = np.argsort(-candidates, axis=1, kind="stable")[:, :k]
        self.values, self.examples = (np.take_along_axis(a, order, 1) for a in (candidates, numbers))

    def read(self) -> tuple[Reals, Indices]:
        """Values and examples, as copies."""
        return self.values.copy(), self.examples.copy()

    def _here(self, array: Any) -> npt.NDArray[Any]:
        out: npt.NDArray[Any] = array.numpy(force=True) if is_torch(array) else array
        return out


def _largest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(invalid="ignore"):  # NaN is expected
        out: npt.NDArray[Any] = values.max(axis=tuple(range(2, values.ndim)), initial=-np.inf)
    return out


def _lowest(values: npt.NDArray[Any]) -> Any:
    return values.dtype.type(-np.inf)
