"""The same calls, compiled: torch.compile makes one loop, or few, of them and of the folding."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.counter import Statistics
from benchmarks.peers.torch_calls import COMPUTES, Found, named, other_axes, plain, widened

SHAPES = 64
"""The most shapes and dtypes of activations that a process compiles for."""


def step(x: Tensor, dims: list[int], known: Found) -> None:
    """Five statistics of `x`, folded into what is known, in place."""
    high, low, nonzero, total, squares = plain(widened(x), dims)
    known[0].copy_(torch.maximum(known[0], high))
    known[1].copy_(torch.minimum(known[1], low))
    known[2].add_(nonzero)
    known[3].add_(total)
    known[4].add_(squares)


class CompiledCalls:
    """A `Counter` by `step`, compiled for each shape: in the time of its first batch.

    Args:
        unit_axis: which axis holds the units; may be negative.
    """

    computes = COMPUTES

    def __init__(self, unit_axis: int = 1) -> None:
        self._unit_axis = unit_axis
        compiler: Any = torch.compile  # its overloads leave `recompile_limit` out
        self._step: Callable[[Tensor, list[int], Found], None] = compiler(
            step, fullgraph=True, dynamic=False, recompile_limit=SHAPES
        )
        self._known: Found | None = None

    def update(self, x: Tensor) -> None:
        dims = other_axes(x, self._unit_axis)
        if self._known is not None:
            self._step(x, dims, self._known)
            return
        self._known = self._nothing(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler imports parts of torch that are on their way out
            self._step(x, dims, self._known)

    def statistics(self) -> Statistics:
        return named(self._known)

    def _nothing(self, x: Tensor) -> Found:
        units = x.shape[self._unit_axis]
        dtype = widened(x[:0]).dtype

        def full(value: float) -> Tensor:
            return torch.full((units,), value, dtype=dtype)

        counts = torch.zeros(units, dtype=torch.int64)
        return full(-torch.inf), full(torch.inf), counts, full(0), full(0)
