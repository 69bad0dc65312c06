"""Observers of torch.ao.quantization, by which models are calibrated: extrema, or a histogram of a layer."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from benchmarks.peers.counter import Statistics


def _observer(name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is to move to another package
        from torch.ao.quantization import observer

        return getattr(observer, name)(**options)


class PerChannelMinMax:
    """A `Counter` by ``PerChannelMinMaxObserver``.

    Args:
        unit_axis: which axis holds the units; not negative.
    """

    computes = "max and min of each unit"

    def __init__(self, unit_axis: int = 1) -> None:
        self._observer = _observer("PerChannelMinMaxObserver", ch_axis=unit_axis)

    def update(self, x: Tensor) -> None:
        self._observer(x)

    def statistics(self) -> Statistics:
        return {"max": self._observer.max_val, "min": self._observer.min_val}


class Histogram:
    """A `Counter` by ``HistogramObserver``; it does not ask where the units are.

    Its bins are float32 and counted up by one: a bin that reaches 2**24 within a batch stays there.
    """

    computes = "one histogram of all values of the layer, of 2048 bins between its extrema; nothing of a unit"

    def __init__(self, unit_axis: int = 1) -> None:
        self._observer = _observer("HistogramObserver")

    def update(self, x: Tensor) -> None:
        self._observer(x)

    def statistics(self) -> Statistics:
        found = {
            "largest of the layer": self._observer.max_val,
            "smallest of the layer": self._observer.min_val,
        }
        if self._observer.histogram.max() < 2**24:
            found["values of the layer"] = self._observer.histogram.sum()
        return found
