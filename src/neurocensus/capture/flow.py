"""Follow the data through one forward: where units are, and which layers an activation comes after.

Every tensor made during the forward gets a `Mark`. Marks are kept beside the tensors, by weak reference, for
one forward only. Reading and writing them is Python work at every torch function, so this runs during the
first forward and is then switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .. import units
from . import rows
from .functions import Function, Role
from .points import Point, tensors_in
from .rows import Rows


class Mark(NamedTuple):
    """What is known of one tensor."""

    axis: int | None = None  # of its units
    after: str = ""  # what put them there, and what last moved them
    carries: frozenset[Point] = frozenset()  # points whose output it still is, in a changed form
    source: Point | None = None  # the point whose output it is, unchanged
    parameter: bool = False  # made of parameters only
    rows: rows.Known = rows.FIRST


_UNKNOWN = Mark()
_PARAMETER = Mark(parameter=True)


class Flow:
    """The marks of one forward."""

    def __init__(self) -> None:
        self._marks = WeakTensorKeyDictionary()

    def mark(self, tensor: Tensor) -> Mark:
        """What is known of `tensor`."""
        if isinstance(tensor, nn.Parameter):
            return _PARAMETER
        found: Mark = self._marks.get(tensor, _UNKNOWN)  # type: ignore[no-untyped-call]
        return found

    def knows(self, tensor: Tensor) -> bool:
        """Whether `tensor` was made by a function that was followed."""
        return tensor in self._marks

    def origin(self, tensor: Tensor) -> tuple[int, str] | None:
        """The unit axis of `tensor` and the rule in words, if known."""
        axis, after = self.mark(tensor)[:2]
        if axis is None or axis >= tensor.dim():
            return None
        return axis, f"{'last axis' if axis == tensor.dim() - 1 else f'axis {axis}'}: after {after}"

    def rows(self, tensor: Tensor, examples: int | None) -> Rows:
        """What the first axis of `tensor` holds in this forward, of so many examples."""
        return rows.rows_of(self.mark(tensor).rows, examples)

    def add(self, tensor: Tensor, point: Point, last_axis_after: str = "") -> None:
        """Note that `tensor` is the output of `point`, and what puts its units last, if that is decided."""
        mark = self.mark(tensor)
        if last_axis_after and tensor.dim() > 1:
            mark = mark._replace(axis=tensor.dim() - 1, after=last_axis_after)
        self._marks[tensor] = mark._replace(carries=mark.carries | {point}, source=point)

    def follow(
        self,
        role: Role,
        entry: Function | None,
        func: Callable[..., Any] | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        point: Point | None = None,
    ) -> None:
        """Mark the tensors of `result`, the result of ``func(*args, **kwargs)``.

        `func` is None for a module whose inside could not be followed (a custom autograd function).
        """
        outputs = list(tensors_in(result))
        if not outputs:
            if func is not None and getattr(func, "__name__", "") == "__setitem__":
                outputs = [args[0]]
            else:
                return
        inputs = [(tensor, self.mark(tensor)) for tensor in _operands(args, kwargs)]
        carries = frozenset().union(*(mark.carries for _, mark in inputs))
        if role is Role.ACTIVATION:
            for carried in carries:
                carried.activated = True
        if role in (Role.ACTIVATION, Role.WEIGHT, Role.MIX):
            carries = frozenset()
        if point is not None:
            carries |= {point}
        parameter = bool(inputs) and all(mark.parameter for _, mark in inputs)
        for output in outputs:
            axis, after = _axis(entry, func, args, kwargs, inputs, output)
            known = _rows(func, args, kwargs, inputs, output)
            self._marks[output] = Mark(axis, after, carries, point, parameter, known)


def parameters_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[nn.Parameter]:
    """The parameters among the operands of a call."""
    return [tensor for tensor in _operands(args, kwargs) if isinstance(tensor, nn.Parameter)]


def _operands(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterable[Tensor]:
    yield from tensors_in(args)
    if kwargs:
        yield from tensors_in(kwargs)


_Inputs = Sequence[tuple[Tensor, Mark]]


def _axis(
    entry: Function | None,
    func: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    inputs: _Inputs,
    output: Tensor,
) -> tuple[int | None, str]:
    rank = output.dim()
    if entry is not None and entry.units != "keep":
        axis = _stated_axis(entry, args, inputs, rank)
        if axis is not None:
            return (axis, entry.name) if axis < rank else (None, "")
    if not inputs:
        return None, ""
    name = _name(func)
    move = _MOVES.get(name)
    if move is not None:
        tensor, mark = inputs[0]
        if mark.axis is None:
            return None, ""
        axis = move(tensor.shape, output.shape, mark.axis, args[1:], kwargs)
        return axis, mark.after if axis == mark.axis else f"{mark.after.partition(', ')[0]}, {name}"
    for tensor, mark in inputs:
        if mark.axis is not None and tensor.dim() == rank:
            return mark.axis, mark.after
    return None, ""


def _rows(
    func: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    inputs: _Inputs,
    output: Tensor,
) -> rows.Known:
    """What is known of the rows of `output`."""
    name = _name(func)
    found = _MOVES.get(name)
    operands = [rows.Operand(tensor, mark.rows, mark.parameter) for tensor, mark in inputs]

    def move(axis: int) -> int | None:
        assert found is not None
        return found(inputs[0][0].shape, output.shape, axis, args[1:], kwargs)

    return rows.after(name, args, kwargs, operands, output, None if found is None else move)


def _stated_axis(entry: Function, args: tuple[Any, ...], inputs: _Inputs, rank: int) -> int | None:
    if entry.units == "channel":
        return rank - entry.spatial - 1 if entry.spatial else 1
    if entry.name == "layer_norm" and len(args) > 1 and len(args[1]) > 1:
        return None  # normalizes over several axes: units stay where they are
    if entry.name == "einsum":
        return _einsum_axis(args, inputs, rank)
    if entry.name in ("matmul", "mm", "bmm", "addmm", "baddbmm") and len(inputs) >= 2:
        left, (second, right) = inputs[-2][1], inputs[-1]
        if left.parameter and not right.parameter and rank >= 2:
            return rank - 2  # weight @ x: its rows are the units
        if not left.parameter and right.axis == second.dim() - 2 and rank >= 4:
            return 1  # query @ key: summed over the units; what is left is a map for each head
    return rank - 1


def _einsum_axis(args: tuple[Any, ...], inputs: _Inputs, rank: int) -> int:
    """The axis of the output letter that only the weight has: ``o`` in ``bchw,oc->bohw``.

    Where no weight takes part, that of the last operand's units, and 1 (heads) if these were summed over.
    """
    if not isinstance(args[0], str) or "->" not in args[0] or "." in args[0]:
        return rank - 1
    left, _, out = args[0].replace(" ", "").partition("->")
    terms = list(zip(left.split(","), inputs, strict=False))
    for letters, (tensor, _) in terms:
        own = [letter for letter in letters if letter in out and left.count(letter) == 1]
        if own and isinstance(tensor, nn.Parameter):
            return out.index(own[-1])
    letters, (tensor, mark) = terms[-1]
    if len(terms) > 1 and mark.axis is not None and len(letters) == tensor.dim():
        units_in = letters[mark.axis]
        return out.index(units_in) if units_in in out else 1 if rank >= 4 else rank - 1
    return rank - 1


def _name(func: Callable[..., Any] | None) -> str:
    name: str = getattr(func, "__name__", "")
    if name == "__get__":  # an attribute: Tensor.T.__get__
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    return name


_Move = Callable[[Sequence[int], Sequence[int], int, tuple[Any, ...], Mapping[str, Any]], "int | None"]


def _dims(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[int]:
    found = args[0] if args else kwargs.get("dim", kwargs.get("axis", kwargs.get("dims")))
    if found is None:
        return []
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _reshape(old: Sequence[int], new: Sequence[int], axis: int, *_: Any) -> int | None:
    return units.reshaped(old, new, axis)


def _lose(*_: Any) -> int | None:
    return None  # in-place changes of shape: the old shape is gone


def _permute(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    order = list(args) if len(args) > 1 else _dims(args, kwargs)
    return units.permuted(order, axis)


def _transpose(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    pairs = (("dim0", "dim1"), ("axis0", "axis1"))
    named = next(([kwargs[a], kwargs[b]] for a, b in pairs if a in kwargs and b in kwargs), None)
    first, second = named or args[:2]
    return units.swapped(len(old), first, second, axis)


def _transpose_last(old: Sequence[int], new: Sequence[int], axis: int, *_: Any) -> int | None:
    return units.swapped(len(old), -1, -2, axis) if len(old) > 1 else axis


def _reverse(old: Sequence[int], new: Sequence[int], axis: int, *_: Any) -> int | None:
    return len(old) - 1 - axis


def _movedim(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    source, target = (*args, *kwargs.values())[:2]
    sources = list(source) if isinstance(source, (tuple, list)) else [source]
    targets = list(target) if isinstance(target, (tuple, list)) else [target]
    rank = len(old)
    fixed = {t % rank: s % rank for s, t in zip(sources, targets, strict=True)}
    rest = iter(dim for dim in range(rank) if dim not in fixed.values())
    return units.permuted([fixed[dim] if dim in fixed else next(rest) for dim in range(rank)], axis)


def _reduce(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    if len(old) == len(new):  # keepdim, or the element-wise max and min of two tensors
        return axis
    return units.reduced(len(old), _dims(args, kwargs), False, axis)


def _select(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    return units.reduced(len(old), _dims(args, kwargs) or [0], False, axis)


def _stack(
    old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> int | None:
    at = (_dims(args, kwargs) or [0])[0] % len(new)
    return axis + (at <= axis)


def _index(old: Sequence[int], new: Sequence[int], axis: int, args: tuple[Any, ...], _: Any) -> int | None:
    return units.indexed(args[0], len(old), axis)


_MOVES: dict[str, _Move] = {
    name: move
    for move, names in {
        _reshape: "view reshape flatten unflatten squeeze unsqueeze ravel view_as reshape_as",
        _lose: "squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_",
        _reduce: "mean sum amax amin max min median prod logsumexp nanmean nansum",
        _transpose: "transpose swapaxes swapdims",
        _transpose_last: "mT mH adjoint",
        _reverse: "t T H",
        _movedim: "movedim moveaxis",
        _permute: "permute",
        _select: "select unbind",
        _stack: "stack",
        _index: "__getitem__",
    }.items()
    for name in names.split()
}
