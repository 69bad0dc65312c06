"""Five statistics of each unit by calls of torch, each a pass or more over the values.

`UnitState` finds five more: examples in which a unit is active, the example of its maximum, its mean
magnitude, and counts of NaN and of infinities.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers.counter import Statistics

COMPUTES = "max, min, count of nonzero values, sum, sum of squares"

Found = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Of a batch or of all so far, one entry per unit: max, min, nonzero, sum, squares."""
Calls = Callable[[Tensor, list[int]], Found]


def plain(x: Tensor, dims: list[int]) -> Found:
    """As one writes them down."""
    return x.amax(dims), x.amin(dims), x.count_nonzero(dims), x.sum(dims), x.square().sum(dims)


def quickest(x: Tensor, dims: list[int]) -> Found:
    """The same in the quickest spelling that we found.

    Positions that lie side by side are reduced first; a norm needs no array of squares; ones are summed as
    float32, which is exact up to 2**24 values of a unit in a batch.
    """
    ones = torch.ne(x, 0, out=torch.empty_like(x, dtype=torch.float32)).sum(dims)
    if not x.is_contiguous() or dims != [0, *range(2, x.dim())] or x.dim() == 2:
        return x.amax(dims), x.amin(dims), ones, x.sum(dims), (x * x).sum(dims)
    x = x.flatten(2)
    squares = torch.linalg.vector_norm(x, 2, 2).square_()
    return x.amax(2).amax(0), x.amin(2).amin(0), ones, x.sum(2).sum(0), squares.sum(0)


def fold(known: Found, found: Found) -> None:
    """Add what was found of a batch, in place."""
    torch.maximum(known[0], found[0], out=known[0])
    torch.minimum(known[1], found[1], out=known[1])
    for total, part in zip(known[2:], found[2:], strict=True):
        total.add_(part)


def widened(x: Tensor) -> Tensor:
    """Values that can be summed: those of half types as float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class TorchCalls:
    """A `Counter` by such calls.

    Args:
        unit_axis: which axis holds the units; may be negative.
        calls: `quickest` or `plain`.
    """

    computes = COMPUTES

    def __init__(self, unit_axis: int = 1, calls: Calls = quickest) -> None:
        self._unit_axis, self._calls = unit_axis, calls
        self._known: Found | None = None

    def update(self, x: Tensor) -> None:
        found = self._calls(widened(x), other_axes(x, self._unit_axis))
        if self._known is None:
            self._known = found
        else:
            fold(self._known, found)

    def statistics(self) -> Statistics:
        return named(self._known)


def other_axes(x: Tensor, unit_axis: int) -> list[int]:
    """All axes but that of the units."""
    return [axis for axis in range(x.dim()) if axis != unit_axis % x.dim()]


def named(known: Found | None) -> Statistics:
    """The statistics by their names, none where there was no batch."""
    if known is None:
        return {}
    high, low, nonzero, total, squares = known
    return {
        "max": high.float(), "min": low.float(), "nonzero": nonzero, "dead": nonzero == 0,
        "sum": total, "squares": squares,
    }  # fmt: skip
