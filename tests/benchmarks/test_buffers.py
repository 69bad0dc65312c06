"""The activations of the benchmarks are what their names say, and what is counted wrong is seen."""

from __future__ import annotations

import pytest
import torch
from benchmarks.workloads import buffers
from benchmarks.workloads.buffers import DEAD, Layout, assert_counted
from torch import Tensor

from neurocensus import UnitState

SMALL = {
    "rows": Layout((3, 5, 4, 4)),
    "channels_last": Layout((3, 5, 4, 4), 1, torch.channels_last),
    "sequences": Layout((3, 4, 5), unit_axis=2),
    "sparse": Layout((200, 500), cut=2.326),
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "LAYOUTS", SMALL)
    buffers.buffer.cache_clear()


@pytest.mark.parametrize("layout", SMALL)
def test_a_buffer_has_one_dead_unit_and_its_layout(layout: str) -> None:
    like, x = SMALL[layout], buffers.buffer(layout)
    assert x.shape == like.shape
    assert x.is_contiguous(memory_format=like.memory_format)
    state = UnitState(like.units).update(x, like.unit_axis)
    assert state.dead[DEAD]
    assert state.min.min() == 0
    share = state.nonzero.sum() / state.values / like.units
    assert share == pytest.approx(0.01 if layout == "sparse" else 0.4, rel=0.3)
    assert buffers.buffer(layout, values="normal").min() < 0


@pytest.mark.parametrize("layout", SMALL)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_what_is_counted_right_passes(layout: str, dtype: str) -> None:
    x, axis = buffers.buffer(layout, dtype), SMALL[layout].unit_axis
    state = UnitState(x.shape[axis], histogram=True)
    for _ in range(3):
        assert_counted(state.update(x, axis), x, axis)


def test_what_is_counted_wrong_is_seen() -> None:
    x = buffers.buffer("rows")

    def count(*batches: Tensor) -> UnitState:
        state = UnitState(5, histogram=True)
        for batch in batches:
            state.update(batch)
        return state

    assert_counted(count(x, x), x)
    for other in (x * 1.5, x - 1, x[:2], x.masked_fill(x == x.max(), torch.nan)):
        for wrong in (count(other), count(x, other)):
            with pytest.raises(AssertionError):
                assert_counted(wrong, x)
    with pytest.raises(AssertionError, match="argmax"):
        assert_counted(count(x.flip(0)), x)


def test_a_histogram_of_other_values_is_seen() -> None:
    """Also of a unit whose statistics are not looked at."""
    x = torch.ones(2, 9)
    counted = x.clone()
    counted[0, 2] = 2.0
    with pytest.raises(AssertionError):
        assert_counted(UnitState(9, histogram=True).update(counted), x)
