"""Values with gaps between them: no layout's own path, and no copy."""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import assert_counted, buffer
from benchmarks.workloads.sizes import THREADS
from neurocensus import UnitState


@pytest.mark.gated
@pytest.mark.benchmark(group="update, strided")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_strided(record: Recorder, dtype: str) -> None:
    """Every second position of every second row, beside one call of `torch.amax` on the same."""
    tensor = buffer("rows", dtype)[:, :, ::2, ::2]
    assert not tensor.is_contiguous()
    used = UnitState(tensor.shape[1]).update(tensor)
    turns = record.turns(
        {
            "update": lambda: used.update(tensor, threads=THREADS),
            "torch amax": lambda: torch.amax(tensor, (0, 2, 3)),
        },
        rounds=10,
    )
    assert_counted(used, tensor)
    record.ratio("times torch amax", turns.ratio("update", "torch amax"), better="lower")
    record.note(gb_per_s=tensor.nbytes / turns.median("update") / 1e9)
