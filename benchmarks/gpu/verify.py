"""Whether a large buffer was counted right: the definition in torch calls, on the buffer's own device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurocensus import UnitState, reference


def assert_counted(state: UnitState, x: Tensor, unit_axis: int) -> None:
    """Compare a state that was updated once with finite values, and with nothing else."""
    x = x.detach().movedim(unit_axis, 1).flatten(2) if x.dim() > 2 else x.detach().unsqueeze(2)
    examples, units, positions = x.shape
    assert (state.examples, state.values) == (examples, examples * positions)
    nonzero = x != 0
    _same(state.nonzero, nonzero.sum((0, 2)), "nonzero")
    _same(state.active_examples, nonzero.any(2).sum(0), "active_examples")
    del nonzero
    maxima = x.amax(2)
    largest = maxima.amax(0)
    index = torch.arange(examples, device=x.device).unsqueeze(1)
    _same(state.max, largest.double(), "max")
    _same(state.min, x.amin((0, 2)).double(), "min")
    _same(state.argmax, torch.where(maxima == largest, index, examples).amin(0), "argmax")
    _same(state.nan + state.inf, torch.zeros(units), "nan, inf")
    mean = x.mean((0, 2), dtype=torch.float64)
    _close(state.mean, mean, "mean")
    m2, mean_abs = torch.zeros_like(mean), torch.zeros_like(mean)
    for some in x.split(max(1, (1 << 25) // max(units * positions, 1))):  # float64 is wide
        wide = some.double()
        mean_abs += wide.abs().sum((0, 2))
        m2 += (wide - mean[:, None]).square_().sum((0, 2))
    _close(state.mean_abs, mean_abs / (examples * positions), "mean_abs")
    _close(state.m2, m2, "m2")
    if state.histogram is not None:
        _same(state.histogram, histogram(x), "histogram")


def histogram(x: Tensor) -> Tensor:
    """`reference.histogram` of finite values."""
    edges = torch.from_numpy(reference.bin_edges()[reference.ZERO_BIN + 1 :].copy()).to(x.device)
    counts = torch.zeros(reference.HISTOGRAM_SIZE, dtype=torch.int64, device=x.device)
    for some in x.split(max(1, (1 << 24) // max(x[0].numel(), 1))):
        wide = some.double().flatten()
        beyond = torch.bucketize(wide.abs(), edges, right=True)  # 1 for what is in the first bin
        bins = reference.ZERO_BIN + wide.sign().long() * beyond
        counts += torch.bincount(bins, minlength=reference.HISTOGRAM_SIZE)
    return counts


def _same(found: np.ndarray, wanted: Tensor, name: str) -> None:
    np.testing.assert_array_equal(found, wanted.cpu().numpy(), name)


def _close(found: np.ndarray, wanted: Tensor, name: str) -> None:
    np.testing.assert_allclose(found, wanted.cpu().numpy(), 1e-5, 1e-6, err_msg=name)
