"""Outputs as (example, unit, *positions), without a copy, beside the mask that fits them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays import FLOATS, buffer_of, is_torch
from ..axes import reordering


class View(NamedTuple):
    """Activations and where to look, both NumPy arrays or both torch tensors on one device."""

    values: Any
    """Floating point, (examples, units, *positions)."""
    keep: Any
    """bool, (examples, 1, *positions) with positions of length 1 where all are kept alike; None: all."""


def view(array: Any, units: int, unit_axis: int, example_axis: int, mask: Any) -> View:
    """Look at an output of a layer; the arguments are those of `UnitState.update`.

    Torch tensors stay tensors where they are; everything else becomes a NumPy array.

    Raises:
        TypeError: not an array, or of another dtype; mask not boolean.
        ValueError: axis out of range, another number of units, mask of another shape.
    """
    values, dtype = _dense(array, "array")
    if dtype not in FLOATS:
        raise TypeError(
            f"array: expected {', '.join(FLOATS[:-1])} or {FLOATS[-1]} activations, got {dtype}; "
            "convert them first, or leave this layer out"
        )
    shape = tuple(values.shape)
    axes = reordering(shape, example_axis, unit_axis, units)(tuple(range(len(shape))))
    if is_torch(values):
        values = values.detach().permute(axes)
    else:  # NumPy has no bfloat16 of its own, and knows no order in that of others
        values = (values.astype(np.float32) if dtype == "bfloat16" else values).transpose(axes)
    return View(values, None if mask is None else _mask(mask, values))


def _dense(array: Any, name: str) -> tuple[Any, str]:
    """The array as NumPy or torch has it, strided, and the name of its dtype."""
    elsewhere = array.device if is_torch(array) and not array.is_cpu else None
    buffer = buffer_of(array, name, elsewhere)
    return buffer.owner, buffer.dtype


def _mask(mask: Any, values: Any) -> Any:
    given, dtype = _dense(mask, "mask")
    if dtype != "bool":
        raise TypeError(f"mask: expected a boolean array, got {dtype}; use mask != 0")
    examples, positions = values.shape[0], tuple(values.shape[2:])
    shape = tuple(given.shape)
    if shape not in ((examples,), (examples, *positions)):
        raise ValueError(
            f"mask: expected shape {(examples, *positions)} (examples, then positions) or {(examples,)}, "
            f"got {shape}"
        )
    if is_torch(values):
        import torch

        given = torch.as_tensor(given, device=values.device)
    elif is_torch(given):
        given = given.numpy(force=True)
    return given.reshape(examples, 1, *(positions if len(shape) > 1 else [1] * len(positions)))
