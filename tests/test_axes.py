from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.axes import reordering
from neurocensus.native import core


@given(st.lists(st.integers(0, 4), min_size=2, max_size=core.MAX_POSITION_AXES + 2), st.data())
def test_examples_units_and_then_the_positions_in_their_order(shape: list[int], data: st.DataObject) -> None:
    rank = len(shape)
    example, unit = data.draw(st.permutations(range(rank)))[:2]
    signs = data.draw(st.tuples(st.booleans(), st.booleans()))
    given = [axis - rank if sign else axis for axis, sign in zip((example, unit), signs, strict=True)]
    found = reordering(tuple(shape), *given, shape[unit])
    wanted = np.moveaxis(np.empty(shape, np.int8), (example, unit), (0, 1))
    assert found(tuple(shape)) == wanted.shape
    assert found(np.empty(shape, np.int8).strides) == wanted.strides


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((2, 3), 0, 2, 3), ValueError, r"unit_axis: expected an axis of an array of shape \(2, 3\), got 2"),
        (((2, 3), -3, 1, 3), ValueError, "example_axis: expected an axis .*, got -3"),
        (((3,), 0, 1, 3), ValueError, "an array needs at least an example and a unit axis"),
        (((2, 3), 1, -1, 3), ValueError, "unit_axis: expected another axis than example_axis, got -1 and 1"),
        (((1,) * 9, 0, 1, 1), ValueError, "array: expected at most 6 position axes, got 7; join some"),
        (((2, 4), 0, 1, 3), ValueError, r"array: expected 3 units on axis 1, got 4 \(shape \(2, 4\)\)"),
        (((2, 3), 0.0, 1, 3), TypeError, "float"),
    ],
)
def test_axes_that_cannot_be(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        reordering(*arguments)
