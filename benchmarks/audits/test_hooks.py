"""What an audited layer costs beside its values: hooks around activations of four values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

import neurocensus as nc
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import assert_counted
from benchmarks.workloads.networks import Functions, modules
from benchmarks.workloads.sizes import THREADS

POINTS = 64
CHAINS: Mapping[str, Callable[[int], nn.Module]] = {"modules": modules, "functions": Functions}


@pytest.mark.gated
@pytest.mark.benchmark(group="hooks")
@pytest.mark.parametrize("activations", CHAINS)
def test_hooks(record: Recorder, activations: str) -> None:
    """A forward through 64 activations with an Auditor attached, beside one without."""
    x = torch.ones(1, 4)
    plain, observed = CHAINS[activations](POINTS), CHAINS[activations](POINTS)
    with torch.inference_mode(), nc.Auditor(observed, threads=THREADS) as auditor:
        observed(x)  # the first forward also finds the points
        turns = record.turns({"audit": lambda: observed(x), "plain forward": lambda: plain(x)}, rounds=200)
    audit = auditor.compute()
    assert len(audit.layers) == POINTS
    for layer in audit.layers.values():
        assert_counted(layer.state, x)
    record.ratio("times the plain forward", turns.ratio("audit", "plain forward"), better="lower")
    pairs = zip(turns.seconds["audit"], turns.seconds["plain forward"], strict=True)
    extra = Ratio.of([1e6 * (audited - alone) / POINTS for audited, alone in pairs])
    record.target("call overhead per layer", extra)
    record.note(us_per_layer=extra.median, plain_us_per_layer=1e6 * turns.median("plain forward") / POINTS)
