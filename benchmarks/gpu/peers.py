"""Other ways to such numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import Tensor

Peer = Callable[[Tensor, int], object]


def torch_calls(x: Tensor, unit_axis: int) -> tuple[Tensor, ...]:
    """Five statistics of each unit, a pass or more each."""
    dims = [axis for axis in range(x.dim()) if axis != unit_axis % x.dim()]
    return (x != 0).sum(dims), x.amax(dims), x.amin(dims), x.mean(dims), x.var(dims)


def histogram_observer(device: str) -> Peer:
    """One histogram of all values, and no statistics of units."""
    observer = None

    def observe(x: Tensor, unit_axis: int) -> object:
        nonlocal observer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.ao is to move to another package
            if observer is None:
                from torch.ao.quantization.observer import HistogramObserver

                observer = HistogramObserver().to(device)
            return observer(x)

    return observe
