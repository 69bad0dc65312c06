"""`UnitState.update` beside a plain read of the same buffer, by the same threads.

Streaming: the state has seen such values before, as in all but the first batch of an audit. First call: a
fresh state, in which new maxima are frequent.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from benchmarks.buffers import SHAPES, THREADS, assert_counted, buffer
from benchmarks.conftest import Recorder
from neurocensus import UnitState, _core


def cases() -> Iterator[tuple[str, str, str, bool, str]]:
    for layout in SHAPES:
        for values in ("half-normal", "normal"):
            for histogram in (False, True):
                for state in ("streaming", "first call"):
                    yield layout, "float32", values, histogram, state
        for dtype in ("float64", "float16", "bfloat16"):
            for histogram in (False, True):
                yield layout, dtype, "half-normal", histogram, "streaming"


@pytest.mark.benchmark(group="update")
@pytest.mark.parametrize(("layout", "dtype", "values", "histogram", "state"), list(cases()))
def test_update(record: Recorder, layout: str, dtype: str, values: str, histogram: bool, state: str) -> None:
    tensor = buffer(layout, dtype, values)
    address, floats = tensor.data_ptr(), tensor.nbytes // 4
    if dtype == "float32":  # the read is of bytes; only these are its own dtype
        assert _core.plain_max(address, floats, THREADS) == tensor.max().item()
    used = UnitState(tensor.shape[1], histogram=histogram).update(tensor)

    def a_state() -> tuple[UnitState]:
        nonlocal used
        if state == "first call":
            used = UnitState(tensor.shape[1], histogram=histogram)
        return (used,)

    pairs = record.pairs(
        lambda used: used.update(tensor, threads=THREADS),
        lambda: _core.plain_max(address, floats, THREADS),
        prepare=a_state,
        rounds=40,
    )
    assert_counted(used, tensor)
    share = pairs.speedup
    record.note(
        share_of_plain_read=share.median, low=share.low, high=share.high,
        gb_per_s=tensor.nbytes / pairs.candidate_median / 1e9,
        plain_read_gb_per_s=tensor.nbytes / pairs.baseline_median / 1e9,
    )  # fmt: skip
    if dtype == "float32" and state == "streaming":
        record.gate(f"{layout} with histogram" if histogram else layout, share)


@pytest.mark.benchmark(group="update, per instruction set")
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("layout", SHAPES)
def test_instruction_set(record: Recorder, layout: str, instruction_set: str) -> None:
    """The plain read is by the best instruction set, whatever the update has."""
    tensor = buffer(layout)
    used = UnitState(tensor.shape[1]).update(tensor)

    def read() -> None:
        _core.set_instruction_set("auto")
        _core.plain_max(tensor.data_ptr(), tensor.numel(), THREADS)
        _core.set_instruction_set(instruction_set)

    try:
        pairs = record.pairs(lambda: used.update(tensor, threads=THREADS), read, rounds=20)
    finally:
        _core.set_instruction_set("auto")
    assert_counted(used, tensor)
    share = pairs.speedup
    record.note(
        share_of_plain_read=share.median, low=share.low, high=share.high,
        gb_per_s=tensor.nbytes / pairs.candidate_median / 1e9,
    )  # fmt: skip


@pytest.mark.benchmark(group="update, strided")
def test_strided(record: Recorder) -> None:
    """Every second position of every second row: no layout's own path, and no copy."""
    tensor = buffer("rows")[:, :, ::2, ::2]
    assert not tensor.is_contiguous()
    used = UnitState(tensor.shape[1]).update(tensor)
    pairs = record.pairs(
        lambda: used.update(tensor, threads=THREADS), lambda: torch.amax(tensor, (0, 2, 3)), rounds=10
    )
    assert_counted(used, tensor)
    record.note(times_one_torch_amax=pairs.cost.median, gb_per_s=tensor.nbytes / pairs.candidate_median / 1e9)
