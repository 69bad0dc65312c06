"""What a call costs beside its values."""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import assert_counted
from benchmarks.workloads.sizes import THREADS, size
from neurocensus import UnitState

CALLS = size(1000, 10)
SHAPES = {"1x4": (1, 4), "64x512": (64, 512), "8x64x7x7": (8, 64, 7, 7)}


@pytest.mark.gated
@pytest.mark.benchmark(group="small updates")
@pytest.mark.parametrize("histogram", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_small_update(record: Recorder, shape: str, dtype: str, histogram: bool) -> None:
    """Beside as many calls of `torch.amax` on the same tensor."""
    tensor = torch.randn(SHAPES[shape], generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
    dims = [axis for axis in range(tensor.dim()) if axis != 1]
    state = UnitState(tensor.shape[1], histogram=histogram)

    def updates() -> None:
        for _ in range(CALLS):
            state.update(tensor, threads=THREADS)

    def maxima() -> None:
        for _ in range(CALLS):
            torch.amax(tensor, dims)

    turns = record.turns({"updates": updates, "torch amax": maxima}, rounds=20)
    assert_counted(state, tensor)
    record.ratio("times torch amax", turns.ratio("updates", "torch amax"), better="lower")
    record.note(
        us_per_update=1e6 * turns.median("updates") / CALLS,
        us_per_torch_amax=1e6 * turns.median("torch amax") / CALLS,
    )
