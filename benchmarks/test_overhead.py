"""What a call costs beside its values: small updates, and hooks around small activations."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

import neurocensus as nc
from benchmarks.buffers import THREADS, assert_counted
from benchmarks.conftest import Recorder
from benchmarks.networks import Functions, modules

CALLS = 1000
POINTS = 64
CHAINS: Mapping[str, Callable[[int], nn.Module]] = {"modules": modules, "functions": Functions}


@pytest.mark.benchmark(group="small updates")
@pytest.mark.parametrize("shape", ["1x4", "64x512"])
def test_small_update(record: Recorder, shape: str) -> None:
    """Beside as many calls of `torch.amax` on the same tensor."""
    examples, units = map(int, shape.split("x"))
    tensor = torch.randn(examples, units, generator=torch.Generator().manual_seed(0))
    state = nc.UnitState(units)

    def updates() -> None:
        for _ in range(CALLS):
            state.update(tensor, threads=THREADS)

    def maxima() -> None:
        for _ in range(CALLS):
            torch.amax(tensor, 0)

    pairs = record.pairs(updates, maxima, rounds=20)
    assert_counted(state, tensor)
    record.note(
        us_per_update=1e6 * pairs.candidate_median / CALLS,
        us_per_torch_amax=1e6 * pairs.baseline_median / CALLS,
        times_torch_amax=pairs.cost.median,
    )


@pytest.mark.benchmark(group="hooks")
@pytest.mark.parametrize("activations", CHAINS)
def test_hooks(record: Recorder, activations: str) -> None:
    """A forward through `POINTS` activations of 1x4 values with an Auditor attached, beside one without."""
    x = torch.ones(1, 4)
    plain, observed = CHAINS[activations](POINTS), CHAINS[activations](POINTS)
    with torch.inference_mode(), nc.Auditor(observed, threads=THREADS) as auditor:
        observed(x)  # the first forward also finds the points
        pairs = record.pairs(lambda: observed(x), lambda: plain(x), rounds=200)
    audit = auditor.compute()
    assert len(audit.layers) == POINTS
    for layer in audit.layers.values():
        assert_counted(layer.state, x)
    extra = statistics.median(a - b for a, b in zip(pairs.candidate, pairs.baseline, strict=True))
    record.note(us_per_point=1e6 * extra / POINTS, plain_us_per_point=1e6 * pairs.baseline_median / POINTS)
