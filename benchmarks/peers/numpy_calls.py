"""Five statistics of each unit by NumPy, a pass or more each, on one thread."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from benchmarks.peers.counter import Statistics


class NumpyCalls:
    """A `Counter` of what is in memory as NumPy knows it: no bfloat16."""

    computes = "max, min, count of nonzero values, sum, sum of squares"

    def __init__(self, unit_axis: int) -> None:
        self._unit_axis = unit_axis
        self._batches = 0

    def update(self, x: Tensor) -> None:
        array = x.numpy()
        unit_axis, everything = self._unit_axis % array.ndim, range(array.ndim)
        axes = tuple(axis for axis in everything if axis != unit_axis)
        high, low = array.max(axes), array.min(axes)
        squares = np.einsum(array, everything, array, everything, [unit_axis])  # no array of squares
        counts = np.array([np.count_nonzero(array, axes), array.sum(axes), squares])
        if self._batches == 0:
            self._high, self._low, self._counts = high, low, counts
        else:
            np.maximum(self._high, high, out=self._high)
            np.minimum(self._low, low, out=self._low)
            self._counts += counts
        self._batches += 1

    def statistics(self) -> Statistics:
        nonzero, total, squares = self._counts
        return {
            "max": self._high, "min": self._low, "nonzero": nonzero, "dead": nonzero == 0,
            "sum": total, "squares": squares,
        }  # fmt: skip
