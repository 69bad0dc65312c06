"""The arithmetic of unit axes, against what NumPy does to an array whose units are told apart by value."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neurocensus import units

shapes = st.lists(st.integers(2, 5), min_size=2, max_size=5)


def labelled(shape: list[int], axis: int) -> npt.NDArray[np.int64]:
    """An array whose value is the index along `axis`."""
    index = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(index, shape)


def holds(array: npt.NDArray[np.int64], axis: int | None, count: int) -> bool:
    """Whether `axis` of `array` is the one labelled: constant along all others, 0, 1, 2, ... along it."""
    return axis is not None and bool(
        (array == labelled(list(array.shape), axis)).all() and array.shape[axis] == count
    )


@st.composite
def shape_and_axis(draw: st.DrawFn) -> tuple[list[int], int]:
    shape = draw(shapes)
    return shape, draw(st.integers(0, len(shape) - 1))


@given(shape_and_axis(), st.data())
def test_permute_and_transpose_move_the_axis(case: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = case
    array = labelled(shape, axis)
    order = data.draw(st.permutations(range(len(shape))))
    negative = [dim - len(shape) if data.draw(st.booleans()) else dim for dim in order]
    assert holds(array.transpose(order), units.permuted(negative, axis), shape[axis])
    first, second = data.draw(st.tuples(*[st.integers(-len(shape), len(shape) - 1)] * 2))
    assert holds(
        np.swapaxes(array, first, second), units.swapped(len(shape), first, second, axis), shape[axis]
    )


@given(shape_and_axis(), st.data())
def test_reductions_and_selections_keep_the_axis_or_lose_it(
    case: tuple[list[int], int], data: st.DataObject
) -> None:
    shape, axis = case
    rank = len(shape)
    dims = data.draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1, max_size=rank))
    found = units.reduced(rank, [d - rank if d % 2 else d for d in dims], False, axis)
    if axis in dims:
        assert found is None
    else:
        assert holds(labelled(shape, axis).max(axis=tuple(dims)), found, shape[axis])
    assert units.reduced(rank, dims, True, axis) == axis
    assert units.reduced(rank, [], False, axis) is None


@given(shape_and_axis(), st.data())
def test_basic_indexing_keeps_the_axis_or_loses_it(case: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = case
    part = st.sampled_from([0, -1, slice(None), slice(None, None, 1), None])
    index = data.draw(st.lists(part, max_size=len(shape)))
    assume(sum(p is not None for p in index) <= len(shape))
    if data.draw(st.booleans()):
        index.insert(data.draw(st.integers(0, len(index))), Ellipsis)
    result = labelled(shape, axis)[tuple(index)]
    found = units.indexed(tuple(index), len(shape), axis)
    if found is None:  # then an int took the axis away: one unit is left
        assert result.size < math.prod(shape)
        assert np.unique(result).size == 1
    else:
        assert holds(result, found, shape[axis])


def test_an_index_by_a_mask_or_a_list_loses_the_axis() -> None:
    assert units.indexed([0, 1], 3, 2) is None
    assert units.indexed((slice(None), True), 3, 2) is None


@given(shape_and_axis(), st.lists(st.integers(0, 5), max_size=3))
def test_reshape_that_adds_or_drops_axes_of_size_one_moves_the_axis(
    case: tuple[list[int], int], at: list[int]
) -> None:
    shape, axis = case
    wide = list(shape)
    for i in at:
        wide.insert(min(i, len(wide)), 1)
    moved = units.reshaped(shape, wide, axis)
    assert holds(labelled(shape, axis).reshape(wide), moved, shape[axis])
    assert moved is not None
    assert units.reshaped(wide, shape, moved) == axis


@given(shape_and_axis(), st.integers(0, 3))
def test_merging_other_axes_keeps_the_axis(case: tuple[list[int], int], first: int) -> None:
    shape, axis = case
    assume(first + 1 < len(shape) and axis not in (first, first + 1))
    merged = [*shape[:first], shape[first] * shape[first + 1], *shape[first + 2 :]]
    result = labelled(shape, axis).reshape(merged)
    assert holds(result, units.reshaped(shape, merged, axis), shape[axis])


@pytest.mark.parametrize(
    ("old", "new", "axis", "expected"),
    [
        ([4, 8, 5, 5], [4, 200], 1, 1),  # flatten after a convolution: features
        ([0, 8, 5, 5], [0, 200], 1, 1),  # a batch of zero
        ([1, 8, 5, 5], [1, 200], 1, 1),  # a batch of one
        ([4, 8, 1, 1], [4, 8], 1, 1),
        ([4, 7, 12], [28, 12], 2, 1),  # tokens to rows
        ([4, 7, 12], [4, 7, 3, 4], 2, 3),  # heads: the last part
        ([4, 12, 5, 5], [4, 3, 4, 5, 5], 1, 2),  # groups
        ([4, 3, 4, 5, 5], [4, 12, 5, 5], 2, 1),
        ([4, 8, 5], [32, 5], 1, None),  # merged with the examples
        ([4, 6, 10], [4, 4, 15], 1, None),  # mixed
        ([4, 1], [4], 1, None),  # the only unit, squeezed away
        ([4, 8], [4, 9], 1, None),  # not a reshape at all
    ],
)
def test_reshape(old: list[int], new: list[int], axis: int, expected: int | None) -> None:
    assert units.reshaped(old, new, axis) == expected


@pytest.mark.parametrize(("rank", "axis"), [(1, 1), (2, 1), (3, 2), (4, 1), (5, 1)])
def test_fallback_by_rank(rank: int, axis: int) -> None:
    assert units.by_rank(rank)[0] == axis


def test_given_axes() -> None:
    assert units.given(None, "relu", 4) is None
    assert units.given(-1, "relu", 4) == 3
    assert units.given({"relu": -1}, "relu:2", 4) == 3
    assert units.given({"relu": -1, "relu:2": 1}, "relu:2", 4) == 1
    assert units.given({"relu": -1}, "fc", 4) is None
    with pytest.raises(ValueError, match=r"unit_axis: expected an axis of a 2-D output \(-2 to 1\), got 2"):
        units.given({"fc": 2}, "fc", 2)
