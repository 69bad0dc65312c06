"""What each instruction set of this CPU makes of the same kernels."""

from __future__ import annotations

import pytest

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import FEATURE_MAPS_AND_DENSE, assert_counted, buffer
from benchmarks.workloads.sizes import THREADS
from neurocensus import UnitState, _core


@pytest.mark.benchmark(group="update, per instruction set")
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("layout", FEATURE_MAPS_AND_DENSE)
def test_instruction_set(record: Recorder, layout: str, instruction_set: str) -> None:
    """The plain read is by the best instruction set, whatever the update has."""
    tensor = buffer(layout)
    used = UnitState(tensor.shape[1]).update(tensor)

    def read() -> None:
        _core.set_instruction_set("auto")
        _core.plain_max(tensor.data_ptr(), tensor.numel(), THREADS)
        _core.set_instruction_set(instruction_set)

    try:
        turns = record.turns(
            {"update": lambda: used.update(tensor, threads=THREADS), "plain read": read}, rounds=20
        )
    finally:
        _core.set_instruction_set("auto")
    assert_counted(used, tensor)
    record.ratio("share of plain read", turns.ratio("plain read", "update"), better="higher")
    record.note(gb_per_s=tensor.nbytes / turns.median("update") / 1e9)
