"""Where the examples, units and positions of an array are, by its axes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from .native import core

Reorder: TypeAlias = Callable[[tuple[int, ...]], tuple[int, ...]]
"""Sizes, strides or axes in an array's order as those of (example, unit, *positions)."""


def reordering(shape: tuple[int, ...], example_axis: int, unit_axis: int, units: int) -> Reorder:
    """How an array `array` of this shape is to be looked at, where it has so many units.

    Raises:
        TypeError: an axis that is not an integer.
        ValueError: an axis out of range, both the same, another number of units, too many positions' axes.
    """
    found = _reorder(len(shape), operator.index(example_axis), operator.index(unit_axis))
    if found is None:
        raise _bad_axes(shape, example_axis, unit_axis)
    if shape[unit_axis] != units:
        raise ValueError(
            f"array: expected {units} units on axis {unit_axis}, got {shape[unit_axis]} (shape {shape}); "
            "a state is of one layer of fixed width"
        )
    return found


@lru_cache
def _reorder(rank: int, example_axis: int, unit_axis: int) -> Reorder | None:
    """None for axes that cannot be."""
    if not (-rank <= example_axis < rank and -rank <= unit_axis < rank):
        return None
    example, unit = example_axis % rank, unit_axis % rank
    positions = [axis for axis in range(rank) if axis not in (example, unit)]
    if example == unit or len(positions) > core.MAX_POSITION_AXES:
        return None
    return operator.itemgetter(example, unit, *positions)


def _bad_axes(shape: tuple[int, ...], example_axis: int, unit_axis: int) -> ValueError:
    for name, axis in (("example_axis", example_axis), ("unit_axis", unit_axis)):
        if not -len(shape) <= axis < len(shape):
            return ValueError(
                f"{name}: expected an axis of an array of shape {shape}, got {axis}; "
                "an array needs at least an example and a unit axis"
            )
    if example_axis % len(shape) == unit_axis % len(shape):
        return ValueError(
            f"unit_axis: expected another axis than example_axis, got {unit_axis} and {example_axis} "
            f"for an array of shape {shape}"
        )
    return ValueError(
        f"array: expected at most {core.MAX_POSITION_AXES} position axes, got {len(shape) - 2}; "
        "join some with reshape"
    )
