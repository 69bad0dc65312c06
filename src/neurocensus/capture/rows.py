"""The rows of an output: whether its first axis holds examples, or examples and positions folded into one.

Transformers fold tokens into rows, (examples, tokens, units) to (examples x tokens, units), and unfold them
later. In between a mask of (examples, tokens) applies row by row, and row r belongs to example r // tokens.
Where a model picks rows by an index (the tokens of one expert), or puts another axis first, neither holds.

This follows the axis of examples through the functions of the first forward (`flow`), as `units` does that of
units. Where it is not known it is taken to be the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from torch import Tensor

from .. import units

PICKED, LOST = -1, -2  # in place of an axis: some of its rows, by an index; mixed with another axis


class Rows(Enum):
    """What the first axis of a point's outputs holds."""

    EXAMPLES = auto()
    FOLDED = auto()  # examples and their positions, in order
    OTHER = auto()  # neither


class Known(NamedTuple):
    """What is known of one tensor."""

    axis: int = 0  # of examples
    folded: int = 0  # examples that the axis holds together with positions; 0: without


class Operand(NamedTuple):
    """A tensor that a function takes, and what is known of it."""

    tensor: Tensor
    known: Known
    parameter: bool


FIRST = Known()


def rows_of(known: Known, examples: int | None) -> Rows:
    """What a tensor's rows are, in a forward of so many examples."""
    if known.axis != 0:
        return Rows.OTHER
    return Rows.FOLDED if known.folded and known.folded == examples else Rows.EXAMPLES


def unfolded(tensor: Tensor, unit_axis: int, rows: Rows, examples: int | None) -> tuple[Tensor, int]:
    """`tensor` as (examples, positions, ...) where its rows are folded, a view; and its unit axis then."""
    if rows is not Rows.FOLDED or not examples or tensor.shape[0] == examples or tensor.shape[0] % examples:
        return tensor, unit_axis
    return tensor.view(examples, tensor.shape[0] // examples, *tensor.shape[1:]), unit_axis + 1


def after(
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    operands: Sequence[Operand],
    output: Tensor,
    move: Callable[[int], int | None] | None,
) -> Known:
    """What is known of `output`, the result of the function `name`.

    move: of a function that moves axes: where it puts an axis of its first operand; None for any other.
    """
    if not operands or not output.dim():
        return FIRST
    tensor, known, _ = operands[0]
    if not tensor.dim():
        return _carried(operands, output)
    if name in _RESHAPES:
        return _reshaped(tensor.shape, output.shape, known)
    if name == "__getitem__":
        return _indexed(args[1], tensor, output, known)
    if name in _ALONG:
        rows = known.axis if known.axis > 0 else 0
        picks = known != FIRST or _hidden(tensor)
        return Known(PICKED) if picks and _along(rows, name, args[1:], kwargs, tensor.dim()) else known
    if move is None:
        return _carried(operands, output)
    return known if known.axis < 0 else _moved(move(known.axis), tensor, output, known)


def _carried(operands: Sequence[Operand], output: Tensor) -> Known:
    """Of a function that keeps rows: those of its first operand with as many; indices and masks come last."""
    alike = []
    for tensor, known, parameter in operands:
        at = max(known.axis, 0)
        if not parameter and at < min(tensor.dim(), output.dim()) and tensor.shape[at] == output.shape[at]:
            alike.append((not tensor.is_floating_point(), known))
    return min(alike, key=lambda entry: entry[0])[1] if alike else FIRST


def _moved(axis: int | None, tensor: Tensor, output: Tensor, known: Known) -> Known:
    """Of a function that puts the rows on `axis`; None: they are gone, and the first axis is taken again."""
    if axis is None or output.shape[axis] != tensor.shape[known.axis]:
        return FIRST
    return known._replace(axis=axis)


def _reshaped(shape: Sequence[int], new_shape: Sequence[int], known: Known) -> Known:
    old, new = shape[0], new_shape[0]
    if known.axis > 0:
        axis = units.reshaped(shape, new_shape, known.axis)
        alone = axis is not None and new_shape[axis] == shape[known.axis]
        return known._replace(axis=axis) if alone and axis is not None else Known(LOST)
    if known.axis == PICKED and new < old:  # split into what they were picked for: some for each token
        return FIRST
    if known.axis < 0:
        return known
    if old == new:
        one_position = len(shape) > len(new_shape) > 1 and shape[1] == 1
        return Known(folded=old) if one_position and not known.folded else known
    if known.folded:
        return known if new != known.folded and not new % known.folded else FIRST
    return Known(folded=old) if old and new > old and not new % old else FIRST


def _indexed(index: Any, tensor: Tensor, output: Tensor, known: Known) -> Known:
    """Picked are rows by an index of their own. One of (examples, position) gives each example a row."""
    if known.axis < 0:
        return known
    given = index if isinstance(index, tuple) else (index,)
    parts = [part for part in given if part is not None]
    arrays = [isinstance(part, (Tensor, list)) for part in parts]
    if not any(arrays):
        return _moved(units.indexed(index, tensor.dim(), known.axis), tensor, output, known)
    if known.axis == 0 and not arrays[0]:
        whole = len(given) == len(parts) and tensor.shape[0] == output.shape[0]
        return known if whole else FIRST
    return Known(PICKED) if known != FIRST or (_hidden(tensor) and sum(arrays) == 1) else FIRST


def _along(axis: int, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], rank: int) -> bool:
    """Whether a function of `_ALONG` works along `axis`."""
    place, default = _ALONG[name]
    found = args[place] if len(args) > place else kwargs.get("dim", kwargs.get("dims", default))
    dims = found if isinstance(found, (tuple, list)) else args if name == "flip" and args else [found]
    return any(dim is None or dim % rank == axis for dim in dims)


def _hidden(tensor: Tensor) -> bool:
    """Whether this may be (examples, positions, units), and not a table of positions that is looked up."""
    return tensor.dim() > 2


_RESHAPES = frozenset(
    ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "view_as", "reshape_as")
)
# Functions that order anew along an axis: where it is among the arguments after the tensor, and the default.
_ALONG: Mapping[str, tuple[int, int | None]] = {
    "index_select": (0, None), "gather": (0, None), "take_along_dim": (1, None), "sort": (0, -1),
    "argsort": (0, -1), "topk": (1, -1), "repeat_interleave": (1, None), "flip": (0, None), "roll": (1, None),
}  # fmt: skip
