"""Masks: hooks that hold units at zero, in every forward, also in training.

A mask sits on the outputs of modules. It is no part of the state dict: weights are saved and loaded as
without it. It is a part of the model object: a deep copy and a pickle of the model are masked too, until
`unmask`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .. import text
from ..capture.functions import NAMES, Role, module_role
from ..capture.hooks import _recomputing
from ..capture.names import named_modules, unwrapped
from ..selection import unknown
from ..units import by_rank
from .dead import DeadUnits, Indices, as_indices


class Mask:
    """Holds units of a model at zero from `attach` to `remove`.

    ::

        mask = Mask(model, dead_units(audit))
        mask.attach()
        ...
        mask.remove()

    The zeros keep the sign of what they take the place of, so that masking an output that is zero changes not
    one bit of it. No gradient passes through a masked unit.

    Args:
        model: the model, also wrapped in DistributedDataParallel.
        dead: units by layer, from `dead_units` or by hand: ``{"relu1": [3, 7]}``. A layer is the output of a
            module, of its first call in a forward; of its k-th it is called ``relu1:k``, as in an audit.
        unit_axis: where the units are, for layers given by hand: for all (int) or by name. Default: axis 1
            after convolution, pooling and batch norm, and of four dimensions or more; else the last.

    Raises:
        TypeError: `model` or `dead` is not as described.
        ValueError: a layer that the model does not have, or one that is no module's output; no units.
    """

    def __init__(
        self,
        model: nn.Module,
        dead: Mapping[str, Any],
        *,
        unit_axis: int | Mapping[str, int] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        if not isinstance(dead, Mapping):
            raise TypeError(
                f"dead: expected units by layer, as dead_units(audit) gives them, got {type(dead).__name__}"
            )
        self._given, self._model = model, unwrapped(model)
        self.dead, self.unit_axis = dead, unit_axis
        modules = {name: module for name, module, wrapper in named_modules(self._model) if not wrapper}
        root = type(self._model).__name__
        self.units: dict[str, Indices] = {}
        """The masked units by layer."""
        self._layers: dict[nn.Module, dict[int, _Layer]] = {}
        for name, indices in dead.items():
            base, call = _split(name, modules, root)
            units = as_indices(name, indices)
            if not len(units):
                continue
            module = modules[base]
            axis, count = _place(dead, name, unit_axis, module)
            self.units[name] = units
            self._layers.setdefault(module, {})[call] = self._make(name, units, axis, count)
        # What holds a masked module: entering it from outside begins a forward, and the counts of calls.
        self._around = [m for m in modules.values() if any(inner in self._layers for inner in m.modules())]
        self._handles: list[RemovableHandle] = []

    @property
    def count(self) -> int:
        """How many units are masked."""
        return sum(len(units) for units in self.units.values())

    @property
    def axes(self) -> dict[str, int]:
        """Where the units are, of the layers of which that is known before they run."""
        layers = [layer for calls in self._layers.values() for layer in calls.values()]
        return {layer.name: layer.axis for layer in layers if layer.axis is not None}

    @property
    def attached(self) -> bool:
        """Whether the mask is on the model."""
        return bool(self._handles)

    def attach(self) -> Mask:
        """Put the mask on the model, and give it.

        Raises:
            RuntimeError: it is on it; or a part of the model was compiled, where the mask would not be seen.
        """
        if self._handles:
            raise RuntimeError("this mask is attached already; remove it first")
        if any(map(_compiled, self._given.modules())):
            raise RuntimeError(
                "model: a part of it is compiled, and compiled code runs no hooks that came later; mask the "
                "model first, then compile it"
            )
        forward = _Forward()
        for module in self._around:
            enter = _Enter(forward, module is self._model)
            self._handles.append(module.register_forward_pre_hook(enter))
        for module, layers in self._layers.items():
            self._handles.append(module.register_forward_hook(_Apply(forward, layers)))
        for module in self._around:
            self._handles.append(module.register_forward_hook(_Leave(forward), always_call=True))
        return self

    def remove(self) -> None:
        """Take the mask off the model. Does nothing if it is off. Copies of the model keep theirs."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Mask:
        return self if self.attached else self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def _make(self, name: str, units: Indices, axis: int | None, count: int | None) -> _Layer:
        return _Layer(name, units, axis, count)

    def __repr__(self) -> str:
        where = f"{text.plural(self.count, 'unit')} in {text.plural(len(self.units), 'layer')}"
        return f"<Mask of {where}, {'attached' if self.attached else 'not attached'}>"


@contextmanager
def masked(
    model: nn.Module, dead: Mapping[str, Any], *, unit_axis: int | Mapping[str, int] | None = None
) -> Iterator[Mask]:
    """Hold the units `dead` of `model` at zero within the block; see `Mask`."""
    with Mask(model, dead, unit_axis=unit_axis) as mask:
        yield mask


def unmask(model: nn.Module) -> int:
    """Take every mask off a model, also one that came with a copy or a pickle.

    Returns:
        How many units were masked.
    """
    units = 0
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in list(hooks.items()):
                if isinstance(hook, (_Enter, _Apply, _Leave)):
                    units += sum(len(layer.units) for layer in getattr(hook, "layers", {}).values())
                    del hooks[key]
                    module._forward_hooks_always_called.pop(key, None)
    return units


# The hooks are plain objects, not closures: copies and pickles of a model take them along, and those of one
# model share one `_Forward` there too.


class _Forward:
    """Where a forward of the model stands: how deep in modules, and how often each layer ran."""

    def __init__(self) -> None:
        self.depth = self.thread = 0
        self.calls: dict[int, int] = {}


class _Enter:
    def __init__(self, forward: _Forward, root: bool) -> None:
        self.forward, self.root = forward, root

    def __call__(self, module: nn.Module, args: Any) -> None:
        forward = self.forward
        thread = 0 if torch.compiler.is_compiling() else get_ident()
        if forward.depth and thread and forward.thread not in (0, thread):
            forward.depth = 0
            raise RuntimeError(
                "the masked model is called from two threads at once; call it from one thread "
                "(of nn.DataParallel, mask and use .module)"
            )
        if self.root or forward.depth == 0:  # after KeyboardInterrupt the depth may be wrong, the root is not
            forward.depth, forward.thread = 0, thread
            forward.calls.clear()
        forward.depth += 1


class _Leave:
    def __init__(self, forward: _Forward) -> None:
        self.forward = forward

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.forward.depth = max(0, self.forward.depth - 1)


class _Apply:
    """Masks the output of the k-th call of its module within a forward by the layer of that number."""

    def __init__(self, forward: _Forward, layers: dict[int, _Layer]) -> None:
        self.forward, self.layers = forward, layers
        self.most = max(layers)  # calls in a forward, as far as known

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        calls = self.forward.calls
        call = calls[id(self)] = calls.get(id(self), 0) + 1
        self.most = max(self.most, call)
        if self.most > 1 and _recomputing():
            raise RuntimeError(
                f"layer {self.layers[min(self.layers)].name!r} runs several times in a forward and is "
                "computed again in the backward pass, where the calls cannot be told apart: use a module for "
                "each call, or no activation checkpoint"
            )
        layer = self.layers.get(call)
        return None if layer is None else layer.masked(output)


class _Layer:
    """The masked units of one audit point.

    units: indices. axis: of the output, may be None: by `by_rank`. count: units there should be, or None.
    """

    def __init__(self, name: str, units: Indices, axis: int | None, count: int | None) -> None:
        self.name, self.units, self.axis, self.count = name, units, axis, count
        self._largest = int(units[-1])
        self._kept: dict[tuple[torch.device, int], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}  # a pickle from a GPU loads without one

    def masked(self, output: Any) -> Tensor:
        """The output with zeros at the units."""
        if not isinstance(output, Tensor) or not output.is_floating_point():
            kind = str(output.dtype) if isinstance(output, Tensor) else type(output).__name__
            raise TypeError(
                f"layer {self.name!r}: a mask needs one tensor of real numbers as output, got {kind}; mask "
                "the module that makes it"
            )
        axis = self._axis(output)
        zeros = torch.copysign(output.new_zeros(()), output.detach())
        kept = self._kept_units(output.shape[axis], output.device)
        return torch.where(kept.view(-1, *[1] * (output.dim() - axis - 1)), output, zeros)

    def _axis(self, output: Tensor) -> int:
        rank = output.dim()
        axis = by_rank(rank)[0] if self.axis is None else self.axis
        if not -rank <= axis < rank:
            raise ValueError(
                f"layer {self.name!r}: expected an output with axis {axis}, got shape {tuple(output.shape)}; "
                "give unit_axis="
            )
        axis %= rank
        size = output.shape[axis]
        if self.count not in (None, size) or size <= self._largest:
            wanted = f"at least {self._largest + 1}" if self.count is None else str(self.count)
            raise ValueError(
                f"layer {self.name!r}: expected {wanted} units on axis {axis}, got an output of shape "
                f"{tuple(output.shape)}; was the mask made for another model? If not, give unit_axis="
            )
        return axis

    def _kept_units(self, units: int, device: torch.device) -> Tensor:
        """Bool (units,): True where the value stays."""
        kept = self._kept.get((device, units))
        if kept is None:
            with torch.inference_mode(False):  # it may be needed in training later
                kept = torch.ones(units, dtype=torch.bool)
                kept[torch.from_numpy(self.units)] = False
                kept = self._kept[device, units] = kept.to(device)
        return kept


def _split(name: Any, modules: Mapping[str, nn.Module], root: str) -> tuple[str, int]:
    """The module of a layer's name, and which of its calls it is."""
    if not isinstance(name, str):
        raise TypeError(f"dead: expected names of layers, got {type(name).__name__}")
    base, colon, number = name.rpartition(":")
    call = int(number) if colon and number.isdigit() else 1
    path = base if colon and number.isdigit() else name
    if path == root and root not in modules:
        path = ""
    if path in modules:
        return path, call
    owner, _, function = path.rpartition(".")
    if function in NAMES and (owner in modules or owner == ""):
        raise ValueError(
            f"dead: {name!r} is a function called inside {owner or root!r}, and a mask can only hold the "
            "output of a module; in the model call a module in place of the function (nn.ReLU() for relu), "
            "or mask the layer before it"
        )
    raise unknown(name, modules, [path or root for path in modules], "dead")


def _compiled(module: nn.Module) -> bool:
    return "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None


def _place(
    dead: Mapping[str, Any], name: str, unit_axis: int | Mapping[str, int] | None, module: nn.Module
) -> tuple[int | None, int | None]:
    """Axis and number of the units of a layer; None: known when it runs."""
    axis, units = (
        (dead.places[name].axis, dead.places[name].units) if isinstance(dead, DeadUnits) else (None, None)
    )
    chosen = unit_axis.get(name) if isinstance(unit_axis, Mapping) else unit_axis
    if chosen is not None or axis is not None:
        return axis if chosen is None else chosen, units
    if isinstance(module, (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.Bilinear)):
        return -1, None
    conv_like = isinstance(module, (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm))
    return (1 if conv_like or module_role(module) is Role.POOLING else None), None
