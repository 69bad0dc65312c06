"""Small buffers on one thread and on two: from what size on does it pay to wake the second?"""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import assert_counted
from benchmarks.workloads.sizes import size
from neurocensus import UnitState, _core

VALUES = [2**exponent for exponent in size((10, 12, 14, 16, 18, 20), (10, 14))]
LAYOUTS = {"rows": (8, 32, -1), "columns": (64, -1)}
MOST_CALLS, VALUES_PER_ROUND = size((1000, 2**22), (10, 2**15))


@pytest.mark.gated
@pytest.mark.benchmark(group="threads on small buffers")
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_buffer(record: Recorder, layout: str, values: int) -> None:
    """Call after call on one buffer, which stays in the cache, as activations do that were just computed.

    `threads=2` allows a second thread; whether it is woken is up to the core. The plain read is by one
    thread, and so is the update that is held against it.
    """
    tensor = torch.randn(values, generator=torch.Generator().manual_seed(0)).relu_().view(LAYOUTS[layout])
    state = UnitState(tensor.shape[1])
    calls = min(MOST_CALLS, VALUES_PER_ROUND // values)

    def updates(threads: int) -> None:
        for _ in range(calls):
            state.update(tensor, threads=threads)

    def reads() -> None:
        for _ in range(calls):
            _core.plain_max(tensor.data_ptr(), values, 1)

    turns = record.turns(
        {"two threads": lambda: updates(2), "one thread": lambda: updates(1), "plain read": reads}, rounds=15
    )
    assert_counted(state, tensor)
    record.ratio("times faster than one thread", turns.ratio("one thread", "two threads"), better="higher")
    record.ratio("share of plain read", turns.ratio("plain read", "one thread"), better="higher")
    record.note(
        us_two_threads=1e6 * turns.median("two threads") / calls,
        us_one_thread=1e6 * turns.median("one thread") / calls,
        us_plain_read=1e6 * turns.median("plain read") / calls,
    )
