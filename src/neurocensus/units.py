"""The unit rule: which axis of an output holds the units.

The axis follows where the tensor came from, not its rank. Convolution, pooling, batch, instance and group
norm put units on axis 1; linear, matmul, embedding, recurrent, attention and layer norm on the last axis;
everything else keeps its input's. This module is the arithmetic of "keeps": what becomes of an axis when a
tensor is reshaped, permuted, reduced or indexed. It knows shapes only, no tensors.

An axis is an int, counted from 0. None means that the axis was lost (two units axes merged with the
examples, an index by a mask, ...); `by_rank` then decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NO_EXAMPLES = 2**31 - 1  # stands for a size of 0 in `reshaped`: a prime that no other size divides


def by_rank(rank: int) -> tuple[int, str]:
    """The axis when nothing is known of the tensor's origin, and the rule in words.

    1-D outputs are taken as one unit per example; 2-D and 3-D ones (batch, sequence, features) have units
    on the last axis; from 4-D on (batch, channels, height, width) on axis 1.
    """
    if rank == 1:
        return 1, "one unit: the output has an example axis only"
    if rank <= 3:
        return rank - 1, f"last axis: a {rank}-D output of unknown origin"
    return 1, f"axis 1: a {rank}-D output of unknown origin"


def check_choice(choice: Any, what: str) -> None:
    """Raise TypeError, naming `what`, unless `choice` is None, an axis, or axes by layer name."""
    for axis in choice.values() if isinstance(choice, Mapping) else (choice,):
        if not isinstance(axis, int) and (axis is not None or isinstance(choice, Mapping)):
            raise TypeError(
                f"{what}: expected an axis (int) or axes by layer name, got {type(axis).__name__}"
            )


def given(unit_axis: int | Mapping[str, int] | None, name: str, rank: int) -> int | None:
    """The user's own choice for layer `name`, made non-negative; None if there is none.

    A choice for ``relu`` holds for its later calls ``relu:2`` too, unless these have their own.

    Raises:
        ValueError: the axis is not one of a tensor of `rank` dimensions.
    """
    if unit_axis is None:
        return None
    if isinstance(unit_axis, Mapping):
        chosen = unit_axis.get(name, unit_axis.get(name.partition(":")[0]))
        if chosen is None:
            return None
    else:
        chosen = unit_axis
    return normalized(chosen, rank, "unit_axis")


def normalized(axis: int, rank: int, what: str) -> int:
    """`axis` counted from 0. Raises ValueError, naming `what`, when it is out of range."""
    if not -rank <= axis < rank:
        raise ValueError(f"{what}: expected an axis of a {rank}-D output (-{rank} to {rank - 1}), got {axis}")
    return axis % rank


def reshaped(old: Sequence[int], new: Sequence[int], axis: int) -> int | None:
    """Where `axis` of shape `old` is in shape `new` after a reshape (view, flatten, squeeze, unflatten).

    Alone, it moves. Merged with later axes (flatten after a convolution) the merged axis holds the units.
    Split (into heads or groups), its last part does. Merged with axis 0, or mixed otherwise, it is lost.
    """
    if list(old) == list(new):
        return axis
    if old[axis] == 1:  # an axis of size 1 fits anywhere
        return axis if len(old) == len(new) and new[axis] == 1 else None
    group_in, group_out = _group(old, new, axis)
    if len(group_out) == 1 and (len(group_in) == 1 or group_in[0] > 0):
        return group_out[0]
    if len(group_in) == 1 and group_out:
        return group_out[-1]
    return None


def _group(old: Sequence[int], new: Sequence[int], axis: int) -> tuple[list[int], list[int]]:
    """The smallest runs of axes of `old` (with `axis` in it) and of `new` that hold the same elements."""
    left = [(i, size or _NO_EXAMPLES) for i, size in enumerate(old) if size != 1]
    right = [(i, size or _NO_EXAMPLES) for i, size in enumerate(new) if size != 1]
    while left and right:
        (i, product_in), (j, product_out) = left.pop(0), right.pop(0)
        group_in, group_out = [i], [j]
        while product_in != product_out:
            side, group = (left, group_in) if product_in < product_out else (right, group_out)
            if not side:
                return [], []
            i, size = side.pop(0)
            group.append(i)
            if group is group_in:
                product_in *= size
            else:
                product_out *= size
        if axis in group_in:
            return group_in, group_out
    return [], []


def permuted(order: Sequence[int], axis: int) -> int:
    """Where `axis` is after ``permute(order)``."""
    return [dim % len(order) for dim in order].index(axis)


def swapped(rank: int, first: int, second: int, axis: int) -> int:
    """Where `axis` is after ``transpose(first, second)``."""
    first, second = first % rank, second % rank
    return {first: second, second: first}.get(axis, axis)


def reduced(rank: int, dims: Sequence[int], keepdim: bool, axis: int) -> int | None:
    """Where `axis` is after a reduction over `dims` (all of them if empty), or a selection along them."""
    gone = {dim % rank for dim in dims} or set(range(rank))
    if keepdim:
        return axis
    if axis in gone:
        return None
    return axis - sum(dim < axis for dim in gone)


def indexed(index: Any, rank: int, axis: int) -> int | None:
    """Where `axis` is after ``tensor[index]``: ints, slices, None and ``...`` are followed."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(p is None or p is Ellipsis or type(p) in (int, slice) for p in parts):
        return None
    used = sum(p is not None and p is not Ellipsis for p in parts)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    parts[at : at + 1] = [slice(None)] * (rank - used)
    source = target = 0
    for part in parts:
        if part is None:
            target += 1
            continue
        if source == axis:
            return None if isinstance(part, int) else target
        source += 1
        target += not isinstance(part, int)
    return None
