"""Take dead units out of a model for good, by Torch-Pruning: fewer parameters, the same outputs."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from .. import tables, text
from ..batches import moved
from ..capture.names import unwrapped
from ..preserve import evaluating, random_states
from ..transfer.freezing import trainable
from . import probing
from .channels import Dependencies, Group
from .dead import Indices
from .masks import Mask, unmask

if TYPE_CHECKING:
    import rich.table

HEADINGS: Final = ("layer", "why some are kept", "dead units", "removed", "kept")
TOLERANCES: Final = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Rounding allowed between the masked and the smaller model, relative to the largest output."""
_LAST: Final = "it is the last unit of its layer, which cannot be empty"
_UNKNOWN: Final = "it depends on several channels of the layers before it, or on none"
_MIXED: Final = "its values reach other units before they are masked"


@dataclass(frozen=True, eq=False)
class Removal:
    """What `remove` did."""

    dead: Mapping[str, int]
    """Dead units by layer, as given."""
    units: Mapping[str, Indices]
    """Removed units by layer. Some may not be dead there, but further on, where alone they are read."""
    kept: Mapping[str, Mapping[str, int]]
    """Of each layer, the dead units that are still there: how many, by the reason."""
    channels: Mapping[str, int]
    """Output channels removed from each convolution and dense layer."""
    parameters_before: int
    parameters_after: int
    seconds_before: float
    """Of one forward of the example input: median of several, in eval mode."""
    seconds_after: float
    speedup: float
    """Median of the ratios before / after of forwards one after the other."""
    max_abs_difference: float
    """Between the outputs of the smaller and of the masked model on the example input: rounding."""

    @property
    def count(self) -> int:
        """Units removed, of layers with dead ones; a channel counts once at each layer, as in an audit."""
        return sum(len(units) for units in self.units.values())

    @property
    def kept_count(self) -> int:
        """Dead units still there."""
        return sum(sum(reasons.values()) for reasons in self.kept.values())

    @property
    def parameters_saved(self) -> float:
        """Share of the parameters that is gone."""
        return 1 - self.parameters_after / self.parameters_before if self.parameters_before else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer of the audit with dead units."""
        return [
            {
                "layer": name,
                "dead": self.dead[name],
                "removed": len(units),
                "kept": sum(self.kept[name].values()),
                "reasons": "; ".join(f"{count}: {reason}" for reason, count in self.kept[name].items()),
            }
            for name, units in self.units.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the indices, ready for JSON."""
        body = {
            "removed": self.count,
            "kept": self.kept_count,
            "parameters_before": self.parameters_before,
            "parameters_after": self.parameters_after,
            "seconds_before": self.seconds_before,
            "seconds_after": self.seconds_after,
            "speedup": self.speedup,
            "max_abs_difference": self.max_abs_difference,
            "channels": dict(self.channels),
            "layers": self.rows(),
        }
        out: dict[str, Any] = tables.json_ready(body)
        return out

    def table(self) -> rich.table.Table:
        """A rich table, one row per layer with dead units."""
        rows = [
            (
                row["layer"],
                row["reasons"],
                text.count(row["dead"]),
                text.count(row["removed"]),
                text.count(row["kept"]),
            )
            for row in self.rows()
        ]
        return tables.rich_rows(HEADINGS, tables.with_short_names(rows, columns=1), 2, title=str(self))

    def __str__(self) -> str:
        return (
            f"{text.plural(self.count, 'unit')} removed, {text.count(self.kept_count)} dead ones kept; "
            f"parameters {text.count(self.parameters_before)} -> {text.count(self.parameters_after)} "
            f"({text.percent(self.parameters_saved)} saved); "
            f"time of a forward {1e3 * self.seconds_before:.3g} -> {1e3 * self.seconds_after:.3g} ms "
            f"({self.speedup:.3g} times as fast)"
        )


def remove(
    model: nn.Module,
    dead: Mapping[str, Any],
    example_input: Any,
    *,
    unit_axis: int | Mapping[str, int] | None = None,
    repeats: int = 7,
) -> tuple[nn.Module, Removal]:
    """A smaller copy of the model, without those dead units that it can lose with no effect on its outputs.

    A unit can go if, with the mask, every layer that reads it reads zeros, and nothing else depends on what
    it was before the mask. So it goes along with its row in the convolution or dense layer before it and its
    columns in those after it. A unit of a residual stream can go if it is dead at every activation of the
    stream. Others stay, and `Removal.kept` says why: outputs, grouped convolutions, units that a depthwise
    convolution or a batch norm after them turns from zero into a constant, units normalised together.

    The copy gives what the masked model gives, on any input, up to rounding (sums are over fewer terms); on
    the audited examples that is what the model itself gives. It is checked on `example_input`.

    Args:
        model: left as it is. Masks on it are not copied.
        dead, unit_axis: as for `Mask`.
        example_input: a batch as the model takes it, like those of a loader for `neurocensus.audit`: what is
            traced, checked and timed.
        repeats: forwards of each model that are timed, in turns.

    Returns:
        The copy, in the modes of the model, its parameters frozen where they were; and what was done.

    Raises:
        ModuleNotFoundError: Torch-Pruning is not installed.
        TypeError, ValueError: as `Mask`; a model that cannot be traced.
        RuntimeError: the smaller model does not run or gives something else, as one whose forward has the
            numbers of its units written into it.
    """
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1, got {repeats}")
    given = unwrapped(model)
    home = next((parameter.device for parameter in given.parameters()), None)
    batch = moved(example_input, home)
    smaller = copy.deepcopy(given)
    unmask(smaller)
    modes = [(module, module.training) for module in smaller.modules()]
    learning = {name: parameter.requires_grad for name, parameter in smaller.named_parameters()}
    smaller.eval()
    for parameter in smaller.parameters():
        parameter.grad = None
        parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
    before = trainable(given).total

    with random_states():
        mask = Mask(smaller, dead, unit_axis=unit_axis)
        dependencies = Dependencies(smaller, batch)
        plan = _Plan(smaller, batch, mask, dependencies)
        origins = probing.origins(smaller, batch, mask, dependencies.groups)
        with mask:
            wanted = probing.outputs(smaller, batch)
        units, kept = _accounts(mask, origins, plan)
        for group, channels in plan.removable.items():
            dependencies.remove(group, channels)
        rest = {name: _renumbered(mask.units[name], units[name]) for name in mask.units}
        difference = _check(smaller, batch, rest, mask.axes, wanted)

    for name, parameter in smaller.named_parameters():
        parameter.requires_grad_(learning[name])
    for module, training in modes:
        module.training = training
    seconds = _timed(given, smaller, batch, repeats)
    channels_removed = {
        dependencies.name(layer): sum(len(indices[channel]) for channel in channels)
        for group, channels in plan.removable.items()
        for layer, indices in group.producers.items()
    }
    counts = {name: len(indices) for name, indices in mask.units.items()}
    after = trainable(smaller).total
    return smaller, Removal(counts, units, kept, channels_removed, before, after, *seconds, difference)


class _Plan:
    """Which channels of which group go, and why the others stay.

    removable: channels by group. reasons: by group, why a channel stays: one reason for each, or for all.
    """

    def __init__(self, model: nn.Module, batch: Any, mask: Mask, dependencies: Dependencies) -> None:
        self.groups = dependencies.groups
        self.reasons: dict[Group, dict[int, str]] = {}
        self.removable: dict[Group, list[int]] = {}
        zeros = probing.held_at_zero(model, batch, mask, self.groups)
        for group in self.groups:
            reasons = self.reasons[group] = {}
            for channel in range(group.channels):
                if group.refused:
                    reasons[channel] = group.refused
                elif reader := _reader_of_values(group, channel, zeros):
                    reasons[channel] = (
                        f"{dependencies.name(reader)!r} reads its channel, which is not held at zero there"
                    )
            free = [channel for channel in range(group.channels) if channel not in reasons]
            if free and len(free) == group.channels:
                reasons[free.pop(0)] = _LAST
            if free:
                self.removable[group] = free
        if not probing.confined(model, batch, mask, _poison(self.removable)):
            for group, channels in list(self.removable.items()):
                if not probing.confined(model, batch, mask, _poison({group: channels})):
                    self.reasons[group].update(dict.fromkeys(channels, _MIXED))
                    del self.removable[group]


def _reader_of_values(group: Group, channel: int, zeros: Mapping[nn.Module, set[int]]) -> nn.Module | None:
    """The first layer that reads something else than zeros from a channel."""
    for layer, indices in group.consumers.items():
        if not zeros.get(layer, set()).issuperset(indices.get(channel, ())):
            return layer
    return None


def _poison(chosen: Mapping[Group, Sequence[int]]) -> dict[nn.Module, list[int]]:
    return {
        layer: [index for channel in channels for index in indices.get(channel, ())]
        for group, channels in chosen.items()
        for layer, indices in group.producers.items()
    }


def _accounts(
    mask: Mask, origins: Mapping[str, list[tuple[int, int] | None]], plan: _Plan
) -> tuple[dict[str, Indices], dict[str, dict[str, int]]]:
    """Of each layer of the mask: which units go, and of the dead that stay how many for which reason."""
    gone = {
        (index, channel)
        for index, group in enumerate(plan.groups)
        for channel in plan.removable.get(group, ())
    }
    removed: dict[str, Indices] = {}
    kept: dict[str, dict[str, int]] = {}
    for name, units in mask.units.items():
        found = origins.get(name, [])
        removed[name] = np.asarray([unit for unit, origin in enumerate(found) if origin in gone], np.int64)
        reasons = Counter[str]()
        for unit in np.setdiff1d(units, removed[name]).tolist():
            origin = found[unit] if found else None
            reasons[_UNKNOWN if origin is None else plan.reasons[plan.groups[origin[0]]][origin[1]]] += 1
        kept[name] = dict(reasons)
    return removed, kept


def _renumbered(units: Indices, removed: Indices) -> Indices:
    """The units that stay, as they are numbered once the others are gone."""
    stay = np.setdiff1d(units, removed)
    return stay - np.searchsorted(removed, stay)


def _check(
    smaller: nn.Module,
    batch: Any,
    dead: Mapping[str, Indices],
    axes: Mapping[str, int],
    wanted: Sequence[Tensor],
) -> float:
    """The largest difference of the outputs to `wanted`; raises RuntimeError if it is more than rounding."""
    hint = (
        "its forward may have numbers of units written into it; give dead units of other layers only, or "
        "mask them instead"
    )
    try:
        with Mask(smaller, dead, unit_axis=axes):
            found = probing.outputs(smaller, batch)
    except Exception as error:
        raise RuntimeError(f"model: the smaller model does not run: {error}; {hint}") from error
    largest = 0.0
    for a, b in zip(wanted, found, strict=True):
        if a.shape != b.shape:
            raise RuntimeError(
                f"model: the smaller model gives {tuple(b.shape)}, expected {tuple(a.shape)}; {hint}"
            )
        if not a.numel():
            continue
        gap = float((a.double() - b.double()).abs().max())
        allowed = TOLERANCES.get(a.dtype, 0.0) * max(1e-6, float(a.double().abs().max()))
        if not gap <= allowed:
            raise RuntimeError(
                f"model: outputs of the smaller model differ by {gap:g}, expected at most {allowed:g}; {hint}"
            )
        largest = max(largest, gap)
    return largest


def _timed(before: nn.Module, after: nn.Module, batch: Any, repeats: int) -> tuple[float, float, float]:
    """Median seconds of a forward of both models, and the median ratio; they run in turns."""
    seconds = np.empty((repeats, 2))
    with random_states(), evaluating(before, None), evaluating(after, None):
        for turn in range(-1, repeats):  # the first is to warm up
            for column, model in enumerate((before, after)):
                begin = time.perf_counter()
                probing.outputs(model, batch)
                _wait(model)
                seconds[max(turn, 0), column] = time.perf_counter() - begin
    ratios = seconds[:, 0] / seconds[:, 1]
    return float(np.median(seconds[:, 0])), float(np.median(seconds[:, 1])), float(np.median(ratios))


def _wait(model: nn.Module) -> None:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
