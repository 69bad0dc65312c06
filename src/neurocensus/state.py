"""`UnitState`: everything the census remembers of one layer. Small, exact, mergeable."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import reference

FORMAT_VERSION: Final = 1
COUNTS = ("nonzero", "active_examples", "argmax", "nan", "inf")
REALS = ("max", "min", "mean", "m2", "mean_abs")


class UnitState:
    """The state of one layer: a few numbers per unit, updated by chunks, merged without loss.

    Args:
        units: number of units, at least 1.
        threshold: a value is zero when ``abs(value) <= threshold``; default 0, exactly zero.
        histogram: also count all finite values in log-linear bins (`reference.bin_edges`).
    """

    def __init__(self, units: int, *, threshold: float = 0.0, histogram: bool = False) -> None:
        self._units = operator.index(units)
        self._threshold = float(threshold)
        self._has_histogram = bool(histogram)
        self._c = reference.empty(self._units)

    # TEMPORARY BODY over reference.py; the compiled core replaces it behind the same names.

    def update(self, array: Any, unit_axis: int = 1, *, example_axis: int = 0, mask: Any = None,
               first_example: int | None = None, threads: int | None = None) -> UnitState:
        if hasattr(array, "detach"):
            array = array.detach().cpu().float().numpy() if str(array.dtype) == "torch.bfloat16" else array.detach().cpu().numpy()
        if mask is not None and hasattr(mask, "detach"):
            mask = mask.detach().cpu().numpy()
        array = np.asarray(array)
        if array.dtype.kind != "f":
            raise TypeError(f"array: expected floating point activations, got {array.dtype}")
        if array.shape[unit_axis] != self._units:
            raise ValueError(f"array: expected {self._units} units on axis {unit_axis}, got {array.shape[unit_axis]}")
        first = self._c.next_example if first_example is None else first_example
        self._c = reference.merge(self._c, reference.census(
            array, unit_axis, example_axis=example_axis, mask=mask, threshold=self._threshold, first_example=first))
        return self

    def merge(self, other: UnitState) -> UnitState:
        self._c = reference.merge(self._c, other._c)
        return self

    def copy(self) -> UnitState:
        return UnitState.from_dict(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"format_version": FORMAT_VERSION, "threshold": self._threshold,
               "examples": self.examples, "values": self.values, "next_example": self.next_example}
        out.update({k: getattr(self, k) for k in COUNTS + REALS})
        if self._has_histogram:
            out["histogram"] = self.histogram
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UnitState:
        self = cls(len(data["max"]), threshold=data["threshold"], histogram="histogram" in data)
        for k in ("examples", "values", "next_example"):
            setattr(self._c, k, int(data[k]))
        for k in COUNTS + REALS:
            setattr(self._c, k, np.array(data[k]))
        if self._has_histogram:
            self._c.histogram = np.array(data["histogram"])
        return self

    @property
    def units(self) -> int: return self._units
    @property
    def threshold(self) -> float: return self._threshold
    @property
    def histogram(self) -> npt.NDArray[np.int64] | None:
        return self._c.histogram if self._has_histogram else None
    @property
    def finite(self) -> npt.NDArray[np.int64]: return self._c.finite
    @property
    def dead(self) -> npt.NDArray[np.bool_]: return self._c.dead
    def __getattr__(self, name: str) -> Any:
        if name in COUNTS + REALS + ("examples", "values", "next_example"):
            return getattr(self._c, name)
        raise AttributeError(name)
