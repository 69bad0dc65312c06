"""Find out by running which channels a model can do without, and where each unit comes from.

The values of some channels are replaced by NaN or infinities where they are made. What these reach shows by
itself, through whatever a model computes: no table of operations has to say which hand values on. Replacing
values by +inf and -inf too is for operations that swallow NaN, such as ``torch.where(x > 0, x, 0)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..batches import feed
from ..capture.points import tensors_in
from .channels import Group, channel_axis
from .dead import Indices
from .masks import Mask, _Layer

POISONS: Final = (math.nan, math.inf, -math.inf)
Poisoned: TypeAlias = "Mapping[nn.Module, Sequence[int]]"
Reader: TypeAlias = "Callable[[nn.Module, Tensor], Tensor]"


def outputs(model: nn.Module, batch: Any) -> list[Tensor]:
    """The tensors of the model's output, as copies."""
    with torch.inference_mode():
        return [output.clone() for output in tensors_in(feed(model, batch))]


def held_at_zero(
    model: nn.Module, batch: Any, mask: Mask, groups: Sequence[Group]
) -> dict[nn.Module, set[int]]:
    """Input channels of each layer that are zero because of the mask, whatever the layers before give.

    Every layer gives nothing but poison: an input that is zero then is behind a mask on every path.
    """
    poison = {layer: range(_width(layer)) for group in groups for layer in group.producers}
    found: dict[nn.Module, Tensor] = {}

    def read(layer: nn.Module, values: Tensor) -> Tensor:
        zero = (_by_channel(layer, values) == 0).all(dim=1)
        found[layer] = found[layer] & zero if layer in found else zero
        return values

    for value in POISONS:
        with _running(poison, value, {layer for group in groups for layer in group.consumers}, read), mask:
            outputs(model, batch)
    return {layer: set(zero.nonzero().flatten().tolist()) for layer, zero in found.items()}


def confined(model: nn.Module, batch: Any, mask: Mask, poison: Poisoned) -> bool:
    """Whether the masked outputs do not depend on these channels at all."""
    with mask:
        wanted = outputs(model, batch)
    for value in POISONS:
        with _running(poison, value), mask:
            found = outputs(model, batch)
        if not all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True)):
            return False
    return True


def origins(
    model: nn.Module, batch: Any, points: Mask, groups: Sequence[Group]
) -> dict[str, list[tuple[int, int] | None]]:
    """For each unit of each layer of `points`: the group, by position, and the channel that it comes from.

    None: from none, or from several. Channels are numbered through; the ones whose number has a certain bit
    set are poisoned, then those that have not, bit by bit: what arrives at a unit spells the number. Where
    the next layer reads them the traces end.
    """
    starts = np.cumsum([0, *(group.channels for group in groups)])
    bits = max(1, int(starts[-1] - 1).bit_length())
    consumers = {layer for group in groups for layer in group.consumers}
    arrived: list[list[dict[str, npt.NDArray[np.bool_]]]] = []
    for bit in range(bits):
        arrived.append([])
        for value in (0, 1):
            chosen = {
                layer: [
                    index
                    for channel, indices in channels.items()
                    for index in indices
                    if (int(start) + channel) >> bit & 1 == value
                ]
                for start, group in zip(starts, groups, strict=False)
                for layer, channels in group.producers.items()
            }
            watch = _Watch.on(points)
            with _running(chosen, math.nan, consumers, _without_nan), watch:
                outputs(model, batch)
            arrived[bit].append(watch.seen())
    found: dict[str, list[tuple[int, int] | None]] = {}
    for name in arrived[0][0]:
        unset, set_ = (np.stack([found[value][name] for found in arrived]) for value in (0, 1))
        numbers = (set_ << np.arange(bits)[:, None]).sum(axis=0)
        one = (unset != set_).all(axis=0) & (numbers < starts[-1])
        owners = np.searchsorted(starts, numbers, side="right") - 1
        found[name] = [
            (int(owner), int(number - starts[owner])) if known else None
            for owner, number, known in zip(owners, numbers, one, strict=True)
        ]
    return found


class _Recorded(_Layer):
    """In place of a mask: remembers which units are NaN."""

    seen: npt.NDArray[np.bool_] | None = None

    def masked(self, output: Any) -> Tensor:
        by_unit = output.movedim(self._axis(output), 0).flatten(1)
        self.seen = by_unit.isnan().any(dim=1).cpu().numpy()
        return output  # type: ignore[no-any-return]


class _Watch(Mask):
    """Looks at the layers of a mask, and changes nothing."""

    @classmethod
    def on(cls, mask: Mask) -> _Watch:
        """At the layers of `mask`."""
        return cls(mask._given, mask.dead, unit_axis=mask.unit_axis)

    def _make(self, name: str, units: Indices, axis: int | None, count: int | None) -> _Layer:
        return _Recorded(name, units, axis, count)

    def seen(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which units were NaN, by layer."""
        layers = [layer for calls in self._layers.values() for layer in calls.values()]
        return {layer.name: layer.seen for layer in layers if layer.seen is not None}  # type: ignore[attr-defined]


def _without_nan(_: nn.Module, values: Tensor) -> Tensor:
    return values.nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf)


def _width(layer: nn.Module) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def _by_channel(layer: nn.Module, values: Tensor) -> Tensor:
    """Values of shape (channels, rest)."""
    return values.movedim(channel_axis(layer), 0).flatten(1)


@contextmanager
def _running(
    poison: Poisoned, value: float, readers: set[nn.Module] | None = None, read: Reader | None = None
) -> Iterator[None]:
    """Within: the channels of these layers give `value`; the inputs of `readers` go through `read`."""

    def spoil(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        spoilt = output.clone()
        spoilt.movedim(channel_axis(layer), 0)[torch.as_tensor(poison[layer], dtype=torch.long)] = value
        return spoilt

    def change(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (read(layer, inputs[0]), *inputs[1:]) if inputs and read is not None else inputs

    handles = [layer.register_forward_hook(spoil) for layer, chosen in poison.items() if len(chosen)]
    handles += [layer.register_forward_pre_hook(change) for layer in readers or ()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
