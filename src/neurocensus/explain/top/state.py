"""`TopState`: the examples that activate each unit of one layer most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...arguments import integer
from ...arrays import is_torch
from ...threads import thread_count
from ..views import view
from . import host

if TYPE_CHECKING:
    import torch

    from .device import DeviceBest


class TopState:
    """The k examples that activate each unit most, found in one pass with memory for k x units.

    What a unit gives on an example is its largest finite value over the positions kept; an example that comes
    in several parts is one example. Of equals those of lowest index count, so that any split of the data, in
    any order, leaves the same bits. The definition is `neurocensus.reference.top`.

    Args:
        units: number of units, at least 1.
        k: examples to keep for each, at least 1.
        device: where they are kept: the host (default), or a CUDA device as torch names it. There `update`
            waits for nothing; reading waits.

    Raises:
        TypeError: ``units`` or ``k`` is not an integer.
        ValueError: either is below 1; a device that is not there.
    """

    def __init__(self, units: int, k: int, *, device: str | torch.device | None = None) -> None:
        self._units, self._k = integer("units", units, 1), integer("k", k, 1)
        self._best = _best(self._units, self._k, device)
        self._next_example = 0

    def reset(self) -> None:
        """Forget everything seen."""
        self._best, self._next_example = _best(self._units, self._k, self._best.device), 0

    def update(
        self,
        array: Any,
        unit_axis: int = 1,
        *,
        example_axis: int = 0,
        mask: Any = None,
        first_example: int | None = None,
        threads: int | None = None,
    ) -> TopState:
        """Take in one chunk of activations; tensors are reduced where they are.

        Args:
            array, unit_axis, example_axis, mask: see `neurocensus.UnitState.update`.
            first_example: index in the data set of the chunk's first example; default: one past the highest
                so far (`next_example`).
            threads: as `neurocensus.UnitState.update` takes it; NumPy and torch go by their own settings.

        Returns:
            This state.

        Raises:
            TypeError: not an array, or of another dtype; mask not boolean.
            ValueError: axis out of range, another number of units, mask of another shape, a negative index.
        """
        thread_count(threads)
        seen = view(array, self._units, unit_axis, example_axis, mask)
        first = self._next_example if first_example is None else integer("first_example", first_example, 0)
        end = first + seen.values.shape[0]
        peaks = _peaks(seen)
        if first >= self._next_example:
            self._best.append(peaks, first)
        else:  # out of order, and perhaps more of examples that were seen before
            numbers = np.repeat(np.arange(first, end)[None], self._units, axis=0)
            self._best.join(peaks, numbers)
        self._next_example = max(self._next_example, end)
        return self

    def merge(self, other: TopState) -> TopState:
        """Fold another state, on whatever device, into this one, as if this one had seen its data too.

        Example indices are kept as they are: where both parts began at example 0, give ``first_example`` to
        `update` for them to stay apart.

        Returns:
            This state.

        Raises:
            TypeError: not a `TopState`.
            ValueError: other units, or another k.
        """
        if not isinstance(other, TopState):
            raise TypeError(f"other: expected a TopState, got {type(other).__name__}")
        for name in ("units", "k"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise ValueError(f"other: expected {name} {mine}, got {its}; only like states can be merged")
        self._best.join(*other._best.read())
        self._next_example = max(self._next_example, other._next_example)
        return self

    def copy(self, device: str | torch.device | None = None) -> TopState:
        """A state of its own with the same content, on ``device``; default: where this one is."""
        out = TopState(self._units, self._k, device=self._best.device if device is None else device)
        return out.merge(self)

    @property
    def units(self) -> int:
        """Number of units."""
        return self._units

    @property
    def k(self) -> int:
        """How many examples are kept for each."""
        return self._k

    @property
    def device(self) -> str:
        """Where they are kept: "cpu", "cuda:0", ..."""
        return "cpu" if self._best.device is None else str(self._best.device)

    @property
    def next_example(self) -> int:
        """One past the highest example index given to `update`."""
        return self._next_example

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What each unit gave on its examples, (units, k), the largest first; -inf where there is none."""
        return self._best.read()[0]

    @property
    def examples(self) -> npt.NDArray[np.int64]:
        """The examples' indices, (units, k); -1 where there is none."""
        return self._best.read()[1]

    def __repr__(self) -> str:
        return f"TopState(units={self.units}, k={self.k}, next_example={self.next_example})"


def _best(units: int, k: int, device: str | torch.device | None) -> host.HostBest | DeviceBest:
    if device is not None and str(device) != "cpu":
        from .device import DeviceBest, cuda_device

        place = cuda_device(device)
        if place is not None:
            return DeviceBest(units, k, place)
    return host.HostBest(units, k)


def _peaks(seen: Any) -> Any:
    if is_torch(seen.values):
        from .device import peaks

        return peaks(seen)
    return host.peaks(seen)
