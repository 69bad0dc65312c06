"""Count one output of one audit point: check it, place its axes, fit the mask, update the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .. import units
from ..layer import LayerAudit
from .points import Count, Mode, Point, State
from .rows import Rows, unfolded

COUNTABLE = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))


class Unusable(Exception):
    """An output that cannot be counted; `kind` is the error to raise where the user asked for this layer."""

    def __init__(self, reason: str, kind: type[Exception] = ValueError) -> None:
        super().__init__(reason)
        self.kind = kind


class Counter:
    """Counts outputs. `mode`, `base`, `batch` and `mask` are those of the model forward under way."""

    def __init__(
        self,
        *,
        unit_axis: int | Mapping[str, int] | None,
        example_axis: int | Mapping[str, int],
        make_state: Callable[[int, torch.device], State],
        threads: int | None,
    ) -> None:
        self._unit_axis, self._example_axis = unit_axis, example_axis
        self._make_state, self._threads = make_state, threads
        self.mode: Mode = ""
        self.known: dict[tuple[str, Mode], LayerAudit] = {}  # what to go on from, by point
        self.hold_known = False  # not now: what is counted will be forgotten
        self.base: int | None = 0  # index of the forward's first example; None: that of each state
        self.batch: int | None = None  # examples in the forward, if known
        self.mask: Tensor | None = None
        self.unmasked: dict[Mode, dict[str, object]] = {}  # points that the mask did not fit, with a shape

    def place(
        self, point: Point, tensor: Tensor, origin: tuple[int, str] | None, sequence_first: bool
    ) -> None:
        """Fix, at first sight of its output, where `point` has its units and its examples.

        `origin` is the axis that the data's path gives, with the rule in words; None if it is not known.

        Raises:
            Unusable: the output cannot be counted.
            ValueError: an axis that the user gave is out of range.
        """
        check_countable(tensor)
        rank = tensor.dim()
        chosen = units.given(self._unit_axis, point.name, rank)
        if chosen is not None:
            axis, rule = chosen, "given"
        else:
            axis, rule = origin if origin is not None else units.by_rank(rank)
        point.example_axis = self._example_axis_of(point.name, rank, sequence_first)
        if rank == 2 and chosen is None and self._example_axis == 1 == axis:
            point.example_axis = 0  # the axis of a sequence is gone: (examples, units) is left
        if axis == point.example_axis:
            raise Unusable(
                f"expected an axis of examples and one of units, got both on axis {axis} of an output of "
                f"shape {tuple(tensor.shape)} ({rule}); give batches, or set unit_axis or example_axis"
            )
        point.rank, point.unit_axis, point.unit_rule = rank, axis, rule
        point.dtype = str(tensor.dtype).removeprefix("torch.")
        if point.example_axis != 0:
            point.rows = Rows.EXAMPLES  # known of the first axis only
        point.units = _two_axes(tensor).shape[axis]

    def count(self, point: Point, tensor: Tensor | None, training: bool) -> None:
        """Update the state of `point`, which is placed, by an output.

        Raises:
            Unusable: the output cannot be counted.
            ValueError: the number of units changed, or is not that of what to go on from.
        """
        if tensor is None:
            raise Unusable("expected a tensor in the output, got none", TypeError)
        if tensor.dtype not in COUNTABLE:
            check_countable(tensor)
        tensor = _two_axes(tensor)
        tensor, unit_axis = unfolded(tensor, _axis_now(point, tensor), point.rows, self.batch)
        mask = None if self.mask is None else self._mask_of(point, tensor, unit_axis, self.mask)
        count = point.counts.get(self.mode) or self.begin(point, self.mode, tensor.device)
        state = count.state
        if tensor.device != count.device:  # the model has been moved, or runs in several places
            if tensor.device not in count.elsewhere:
                count.elsewhere[tensor.device] = self._make_state(state.units, tensor.device)
            state = count.elsewhere[tensor.device]
        state.update(
            tensor.detach() if tensor.requires_grad else tensor,
            unit_axis,
            example_axis=point.example_axis,
            mask=mask,
            first_example=self._first_example(point, tensor),
            threads=self._threads,
        )
        count.calls += 1
        count.masked |= mask is not None
        count.training |= training

    def begin(self, point: Point, mode: Mode, device: torch.device) -> Count:
        """Make room for what `point`, which is placed, gives in `mode`."""
        count = point.counts[mode] = Count(self._make_state(point.units, device), device)
        if self.known and not self.hold_known:
            self.go_on(point)
        return count

    def go_on(self, point: Point) -> None:
        """Let the counts of `point` go on from what is known of them."""
        for mode, count in point.counts.items():
            layer = self.known.get((point.name, mode))
            if layer is None:
                continue
            for what, before, now in (
                ("kind", layer.kind, point.kind), ("number of units", layer.units, point.units),
            ):  # fmt: skip
                if before != now:
                    raise ValueError(f"expected the {what} to be {before}, as before, got {now}; audit anew")
            del self.known[point.name, mode]
            count.state.merge(layer.state)
            count.calls += layer.calls
            count.training |= layer.training
            count.masked |= layer.masked

    def _example_axis_of(self, name: str, rank: int, sequence_first: bool) -> int:
        choice = self._example_axis
        if isinstance(choice, Mapping):
            choice = choice.get(name, choice.get(name.partition(":")[0], 0))
        if choice == 0 and sequence_first and rank == 3:
            return 1
        return 0 if rank == 1 else units.normalized(choice, rank, "example_axis")

    def _first_example(self, point: Point, tensor: Tensor) -> int | None:
        """Index of the first example of an output; None where its rows are no examples of the data."""
        ours = tensor.shape[point.example_axis] == self.batch and point.rows is not Rows.OTHER
        return self.base if ours else None

    def _mask_of(self, point: Point, tensor: Tensor, unit_axis: int, mask: Tensor) -> Tensor | None:
        fit = fitting(mask, tensor, unit_axis, point.example_axis, point.rows)
        if fit is None:
            self.unmasked.setdefault(self.mode, {}).setdefault(point.name, tuple(tensor.shape))
        return fit


def fitting(mask: Tensor, tensor: Tensor, unit_axis: int, example_axis: int, rows: Rows) -> Tensor | None:
    """The part of the user's mask that fits an output, whose rows are unfolded; None if none does.

    The mask's positions are the first of the output's, side by side or flattened into one; later ones (the
    features of a head, where heads are the units) go with them. What one example gives for all of them
    (embeddings of positions) is looked at where any example is.
    """
    if rows is Rows.OTHER:
        return None
    shape = tensor.shape
    examples = shape[example_axis]
    positions = [n for axis, n in enumerate(shape) if axis not in (unit_axis, example_axis)]
    if mask.dim() == 1 or not positions:
        return None if len(mask) != examples else mask if mask.dim() == 1 else mask.flatten(1).any(1)
    if list(mask.shape[1:]) != positions[: mask.dim() - 1]:
        mask = mask.flatten(1)
    if mask.shape[1] != positions[0] or len(mask) != examples != 1:
        return None
    if len(mask) != examples:
        mask = mask.any(0, keepdim=True)
    later = positions[mask.dim() - 1 :]
    return mask[(..., *[None] * len(later))].expand(*mask.shape, *later) if later else mask


def _two_axes(tensor: Tensor) -> Tensor:
    """An output of shape (examples,) as one of a single unit."""
    return tensor.unsqueeze(1) if tensor.dim() == 1 else tensor


def check_countable(tensor: Tensor) -> None:
    """Raise `Unusable` unless `tensor` is a plain floating-point tensor with an example axis."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise Unusable("expected an output with values, got one inside a torch.func transform", TypeError)
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.is_quantized:
        what = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else str(tensor.layout)
        raise Unusable(f"expected a dense floating-point output, got a {what} one", TypeError)
    if tensor.dtype not in COUNTABLE:
        raise Unusable(f"expected floating-point activations, got {tensor.dtype}", TypeError)
    if tensor.is_meta:
        raise ValueError("the output is on the meta device and has no values; load the weights, then audit")
    if tensor.dim() == 0:
        raise Unusable("expected an output with an example axis, got a scalar")


def _axis_now(point: Point, tensor: Tensor) -> int:
    """The unit axis of `tensor`, an output of `point`, whose rank may differ from the first time.

    Raises:
        ValueError: the number of units changed.
    """
    expected, axis, shape = point.units, point.unit_axis, tensor.shape
    if len(shape) != point.rank and axis == point.rank - 1:
        axis = len(shape) - 1
    if axis >= len(shape) or axis == point.example_axis or shape[axis] != expected:
        got = f"{shape[axis]} on axis {axis}" if axis < len(shape) else "none"
        raise ValueError(
            f"the number of units changed: expected {expected}, got {got} (output of shape {tuple(shape)}, "
            f"{point.unit_rule}); leave the layer out with layers=, or give its unit_axis="
        )
    return axis
