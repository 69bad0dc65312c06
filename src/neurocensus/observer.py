"""`Observer`: hooks on a model that keep something per unit of each audit point, while it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .capture.capture import Capture
from .capture.keras import as_torch_modules
from .capture.points import Mode, Point, State
from .preserve import is_sharded
from .selection import Layers
from .threads import thread_count

UNDER_WAY = (
    "expected to be called between forwards of the model, but one is under way, or was interrupted (Ctrl-C): "
    "in that case detach() and attach() again"
)
Self = TypeVar("Self", bound="Observer")


class Observer:
    """Shows the outputs of a model's audit points to a state for each, while the model runs in any loop.

    What it is that is kept, subclasses say: `neurocensus.Auditor` counts. The model's mode, gradients and
    data are yours: an observer only looks. Several may look at one model at once.

    Args:
        model: the model, in eager mode; wrapped in DistributedDataParallel, FSDP or `torch.compile` too.
        make_state: called with the number of units and the device of a point's output when it is first seen.
        layers, unit_axis, example_axis, threads: see `neurocensus.Auditor`.
        trace: look inside compiled code, where possible. The states are then `UnitState`.
        apart: keep what the model gives in training mode apart from what it gives in eval mode.

    Attributes:
        mask: see `neurocensus.Auditor`.

    Raises:
        TypeError: `model` is not an eager `nn.Module`.
        ValueError: a layer name that does not exist, an axis out of range, an uninitialized lazy module.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        make_state: Callable[[int, torch.device], State],
        layers: Layers = "activations",
        unit_axis: int | Mapping[str, int] | None = None,
        example_axis: int | Mapping[str, int] = 0,
        threads: int | None = None,
        trace: bool = False,
        apart: bool = False,
    ) -> None:
        _check_model(model)
        thread_count(threads)
        self._model = model
        self._options: dict[str, Any] = {
            "layers": layers,
            "unit_axis": unit_axis,
            "example_axis": example_axis,
            "make_state": make_state,
            "threads": threads,
            "apart": apart,
        }
        self.trace = trace
        self._capture = self._fresh_capture()

    def _fresh_capture(self) -> Capture:
        with as_torch_modules(self._model):
            return Capture(self._model, **self._options)

    @property
    def model(self) -> nn.Module:
        """The model that is looked at, as given."""
        return self._model

    @property
    def layers(self) -> Layers:
        """Which outputs, as given."""
        chosen: Layers = self._options["layers"]
        return chosen

    @property
    def example_axis(self) -> int | Mapping[str, int]:
        """Where examples are, as given."""
        axis: int | Mapping[str, int] = self._options["example_axis"]
        return axis

    def attach(self: Self) -> Self:
        """Start to look: put the hooks on the model. Raises RuntimeError if they are on it."""
        if self._capture.hooks.attached:
            name = type(self).__name__
            raise RuntimeError(f"this {name} is attached already; detach it first, or make a second {name}")
        self._capture.attach(self.trace)
        return self

    def detach(self) -> None:
        """Stop looking: take the hooks off. What was counted is kept. Does nothing if they are off."""
        if self._capture.hooks.attached:
            self._capture.detach()

    def __enter__(self: Self) -> Self:
        return self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.detach()

    @property
    def mask(self) -> Tensor | None:
        """The mask for the forwards to come."""
        return self._capture.counter.mask

    @mask.setter
    def mask(self, mask: Tensor | None) -> None:
        if mask is not None and not (isinstance(mask, Tensor) and mask.dim() >= 1):
            raise TypeError(f"mask: expected a bool tensor (examples, *positions), got {describe(mask)}")
        if mask is not None and (mask.is_floating_point() or mask.is_complex()):
            raise TypeError(
                f"mask: expected a bool tensor or one of 0 and 1, got {mask.dtype}; "
                "of one that is added to attention scores use mask == 0"
            )
        self._capture.counter.mask = None if mask is None else mask.detach() != 0

    @property
    def skipped(self) -> dict[str, str]:
        """Points left out because their output cannot be counted, and why (integer output, no examples)."""
        return self._capture.left_out()

    @property
    def uncompiled(self) -> str | None:
        """Why compiled models run uncompiled in every forward, not just the first; None if they do not."""
        return self._capture.uncompiled

    def reset(self) -> None:
        """Forget everything counted; the next forward is the first again."""
        if self._capture.hooks.running:
            raise RuntimeError(f"reset: {UNDER_WAY}")
        if self._capture.traced.kinds:  # compiled code counts into these states
            self._capture.reset()
            return
        attached = self._capture.hooks.attached
        mask = self._capture.counter.mask
        self.detach()
        wanted = self._capture.wanted
        self._capture = self._fresh_capture()
        self._capture.counter.mask, self._capture.wanted = mask, wanted
        if attached:
            self.attach()

    def points(self) -> list[Point]:
        """The points that were seen so far, in the order in which they first fired."""
        return self._capture.counted()

    def _warn(self, mode: Mode | None = None) -> None:
        """Warn the caller's caller's caller of points left out and of layers that the mask did not fit."""
        capture = self._capture
        left_out = capture.left_out()
        if left_out:
            listed = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            warnings.warn(f"not counted: {listed}", UserWarning, stacklevel=4)
        counted = {point.name for point in capture.counted(mode)}
        unmasked = {
            name: shape
            for seen_in, found in capture.counter.unmasked.items()
            for name, shape in found.items()
            if mode in (None, seen_in) and name in counted
        }
        if unmasked:
            listed = ", ".join(f"{name} {shape}" for name, shape in unmasked.items())
            warnings.warn(
                f"the mask does not fit the outputs of these layers, which were counted whole: {listed}",
                UserWarning,
                stacklevel=4,
            )


def _check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    sharded = any(map(is_sharded, model.modules()))  # by FSDP, which gives each process the whole layer
    for name, module in model.named_modules():
        where = f" (its module {name!r})" if name else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"model: expected an eager model, got a TorchScript one{where}, which runs "
                "without hooks; audit the nn.Module it was made from"
            )
        if any(map(is_lazy, module.parameters(recurse=False))):
            raise ValueError(
                f"model: {name or type(module).__name__!r} is a lazy module without parameters yet; "
                "run the model on one batch, then audit"
            )
        if not sharded and any(map(_is_distributed, module.parameters(recurse=False))):
            raise TypeError(
                f"model: the weights of {name or type(module).__name__!r} are split over processes by tensor "
                "parallelism: each would count its own slice of the units under one name; audit the model "
                "without it, or with FSDP"
            )
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise TypeError(
                "model: nn.DataParallel runs copies of the model in threads, which cannot be "
                "counted together; audit its .module"
            )


def _is_distributed(parameter: nn.Parameter) -> bool:
    return any(kind.__name__ == "DTensor" for kind in type(parameter).__mro__)


def describe(value: Any) -> str:
    """What an argument is, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return type(value).__name__
