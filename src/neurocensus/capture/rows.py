"""The rows of an output: whether its first axis holds examples, or examples and positions folded into one.

Transformers fold tokens into rows, (examples, tokens, units) to (examples x tokens, units), and unfold them
later. In between a mask of (examples, tokens) applies row by row, and row r belongs to example r // tokens. Where
a model picks rows by an index (the tokens of one expert), or puts another axis first, neither holds.

What is known of a tensor's rows in the first forward, which `flow` follows, is one number: 0, rows are examples,
as far as seen; n > 0, rows are n examples with their positions, in order; `PICKED` or `MOVED`, they are neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from torch import Tensor

PICKED, MOVED = -1, -2


class Rows(Enum):
    """What the first axis of a point's outputs holds."""

    EXAMPLES = auto()
    FOLDED = auto()  # examples and their positions, in order
    OTHER = auto()  # neither


class Operand(NamedTuple):
    """A tensor that a function takes, and what is known of its rows."""

    tensor: Tensor
    rows: int
    parameter: bool


def rows_of(known: int, examples: int | None) -> Rows:
    """What a tensor's rows are, in a forward of so many examples."""
    if known in (PICKED, MOVED):
        return Rows.OTHER
    return Rows.FOLDED if known and known == examples else Rows.EXAMPLES


def unfolded(tensor: Tensor, unit_axis: int, rows: Rows, examples: int | None) -> tuple[Tensor, int]:
    """`tensor` as (examples, positions, ...) where its rows are folded, and where its units are then. A view."""
    if rows is not Rows.FOLDED or not examples or tensor.shape[0] == examples or tensor.shape[0] % examples:
        return tensor, unit_axis
    return tensor.unflatten(0, (examples, tensor.shape[0] // examples)), unit_axis + 1


def after(
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    operands: Sequence[Operand],
    output: Tensor,
    first_axis: Callable[[], int | None] | None,
) -> int:
    """What is known of the rows of `output`, the result of the function `name`.

    first_axis: of a function that moves axes: where the first one of its first operand goes; else None.
    """
    if not operands or not output.dim():
        return 0
    tensor, known, _ = operands[0]
    if name in _ONTO:
        return known
    if not tensor.dim():
        return _carried(operands, output)
    if name in _RESHAPES:
        return _reshaped(tensor.shape, output.shape, known)
    if name == "__getitem__":
        return _indexed(args[1], tensor, output, known)
    if name in _ALONG:
        return PICKED if (known or _hidden(tensor)) and _along_rows(name, args[1:], kwargs, tensor.dim()) else known
    if first_axis is None:
        return _carried(operands, output)
    axis = first_axis()
    if axis == 0:
        return known if tensor.shape[0] == output.shape[0] else 0
    if axis is None or known == MOVED:  # gone; taken to be back
        return 0
    return known if known == PICKED else MOVED if known or _hidden(tensor) else 0


def _carried(operands: Sequence[Operand], output: Tensor) -> int:
    """Of a function that keeps rows: those of its first operand with as many; indices and masks come last."""
    alike = [
        (not tensor.is_floating_point(), known)
        for tensor, known, parameter in operands
        if not parameter and tensor.dim() and tensor.shape[0] == output.shape[0]
    ]
    return min(alike, key=lambda entry: entry[0])[1] if alike else 0


def _reshaped(shape: Sequence[int], new_shape: Sequence[int], known: int) -> int:
    old, new = shape[0], new_shape[0]
    if old == new:
        one_position = len(shape) > len(new_shape) > 1 and shape[1] == 1
        return old if one_position and not known else known
    if known == MOVED:
        return known
    if known == PICKED:  # split into what they were picked for: some for each token
        return PICKED if new > old else 0
    if known:
        return known if new != known and not new % known else 0
    return old if old and new > old and not new % old else 0


def _hidden(tensor: Tensor) -> bool:
    """Whether this may be (examples, positions, units), and not a table of positions that is looked up."""
    return tensor.dim() > 2


def _indexed(index: Any, tensor: Tensor, output: Tensor, known: int) -> int:
    """Picked are rows by an index of their own. One of (examples, position) gives each example a row."""
    parts = [part for part in (index if isinstance(index, tuple) else (index,)) if part is not None]
    first = parts[0] if parts else None
    if isinstance(first, (Tensor, list)):
        pairs = len(parts) > 1 and isinstance(parts[1], (Tensor, list))
        return PICKED if known or (_hidden(tensor) and not pairs) else 0
    whole = first is Ellipsis or isinstance(first, slice)
    return known if whole and tensor.shape[0] == output.shape[0] else 0


def _along_rows(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], rank: int) -> bool:
    place, default = _ALONG[name]
    found = args[place] if len(args) > place else kwargs.get("dim", kwargs.get("dims", default))
    dims = found if isinstance(found, (tuple, list)) else args if name == "flip" and args else [found]
    return any(dim is None or dim % rank == 0 for dim in dims)


_RESHAPES = frozenset("view reshape flatten unflatten squeeze unsqueeze ravel view_as reshape_as".split())
# Functions that order anew along an axis: where it is among the arguments after the tensor, and the default.
_ALONG: Mapping[str, tuple[int, int | None]] = {
    "index_select": (0, None), "gather": (0, None), "take_along_dim": (1, None), "sort": (0, -1),
    "argsort": (0, -1), "topk": (1, -1), "repeat_interleave": (1, None), "flip": (0, None), "roll": (1, None),
}  # fmt: skip
# Functions that write into their first operand, which keeps its rows.
_ONTO = frozenset(
    f"{name}{end}"
    for name in "index_add index_copy index_put scatter scatter_add masked_scatter".split()
    for end in ("", "_")
) | {"__setitem__"}
