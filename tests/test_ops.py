"""The operators of compiled graphs: what they count, what they refuse, what they tell the compiler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from neurocensus import ops
from neurocensus.state import UnitState

from .capture.models import EXACT

ON, OFF = torch.ones(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)


def call(
    state: UnitState, values: Tensor, enabled: Tensor = ON, mask: Tensor | None = None, unit_axis: int = 1,
    example_axis: int = 0,
) -> None:  # fmt: skip
    ops.update(
        state.words, enabled, values, mask, "layer", state.units, state.has_histogram, state.threshold,
        unit_axis, example_axis, 0,
    )  # fmt: skip


def assert_same(state: UnitState, expected: UnitState) -> None:
    for field in (*EXACT, "mean", "m2", "mean_abs"):
        np.testing.assert_array_equal(getattr(state, field), getattr(expected, field), err_msg=field)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_update_is_that_of_the_state(dtype: torch.dtype, masked: bool) -> None:
    mask = (torch.arange(4) % 2 == 0)[:, None].expand(4, 6) if masked else None
    state, expected = (UnitState(5, threshold=0.5, histogram=True) for _ in range(2))
    for _ in range(2):
        values = torch.randn(6, 5, 4).to(dtype).permute(2, 1, 0)  # any strides
        call(state, values, mask=mask)
        expected.update(values, mask=mask)
    assert_same(state, expected)
    assert state.histogram is not None
    np.testing.assert_array_equal(state.histogram, expected.histogram)
    assert state.next_example == 8


def test_other_axes() -> None:
    state, expected = UnitState(5), UnitState(5)
    values = torch.randn(3, 4, 5)
    call(state, values, unit_axis=2, example_axis=1)
    assert_same(state, expected.update(values, 2, example_axis=1))


def test_switched_off_it_counts_nothing() -> None:
    state, tally = UnitState(5), torch.zeros(2 * ops.SLOTS, dtype=torch.int64)
    call(state, torch.randn(2, 5), OFF)
    ops.tick(tally, OFF, 3, 7, None)
    assert state.examples == 0
    assert not tally.any()


def test_tick_counts_forwards_and_examples() -> None:
    tally = torch.zeros(2 * ops.SLOTS, dtype=torch.int64)
    ops.tick(tally, ON, 3, 7, None)
    ops.tick(tally, ON, 3, 9, torch.arange(9) < 5)
    ops.tick(tally, ON, 0, 1, None)
    assert (tally[3], tally[ops.SLOTS + 3], tally[0], tally.sum()) == (2, 12, 1, 2 + 12 + 1 + 1)


def test_errors_name_the_layer() -> None:
    with pytest.raises(ValueError, match="layer 'layer': array: expected 5 units on axis 1, got 4"):
        call(UnitState(5), torch.randn(2, 4))
    with pytest.raises(TypeError, match="layer 'layer': array: expected float32"):
        call(UnitState(5), torch.ones(2, 5, dtype=torch.int64))


def test_the_compiler_is_told_the_truth() -> None:
    """Schema, fake implementation and functionalization, by torch's own check."""
    state, tally = UnitState(5), torch.zeros(2 * ops.SLOTS, dtype=torch.int64)
    layer = ("layer", 5, False, 0.0, 1, 0, 0)
    torch.library.opcheck(ops.update, (state.words.clone(), ON, torch.randn(2, 5), None, *layer))
    for mask in (None, torch.arange(4) < 2):
        torch.library.opcheck(ops.tick, (tally, ON, 1, 4, mask))
