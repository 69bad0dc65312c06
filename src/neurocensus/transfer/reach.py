"""Which activation a layer's units reach: from the weights' names to an audit's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ..batches import feed, moved
from ..capture.capture import Capture
from ..capture.flow import Flow
from ..capture.functions import Function, Role
from ..capture.hooks import Frame
from ..capture.names import unwrapped
from ..capture.points import Point, Site, tensors_in
from ..preserve import evaluating, random_states
from ..state import UnitState

# After these, as after norms and pooling, each unit is where it was. Of other functions nothing is known.
_KEEPING: Final = frozenset(
    {
        *("add", "sub", "mul", "div", "interpolate", "contiguous", "clone", "detach", "to", "float", "half"),
        *(
            "bfloat16",
            "dropout",
            "dropout1d",
            "dropout2d",
            "dropout3d",
            "alpha_dropout",
            "feature_alpha_dropout",
        ),
        *("__add__", "__radd__", "__iadd__", "__sub__", "__isub__", "__mul__", "__rmul__", "__imul__"),
        "__truediv__",
    }
)


def activation_points(model: nn.Module, batch: Any) -> dict[str, str]:
    """The audit point where each layer's units first become activations: ``{"conv1": "relu1"}``.

    One forward is followed through modules and functions, in eval mode: a convolution's output reaches,
    through batch norm, pooling, dropout and residual additions, a ReLU; that is its point, and the norm's. A
    layer that reaches none before the next layer (logits) is its own. A layer whose units are moved on the
    way (by a concatenation, a shuffle, a reshape) is its own too: unit k there is not its unit k.

    A layer that runs more than once in a forward is followed from its first call. Of a residual addition both
    branches reach the activation after it.

    Args:
        model: as it was audited; left as it was found.
        batch: one batch, as the audit's loader gives them.

    Returns:
        Names of layers (modules with weights) to names of points of ``audit(layers="activations")``.
    """
    model = unwrapped(model)
    tracing = _Tracing(model)
    home = next((parameter.device for parameter in model.parameters()), None)
    with random_states(), evaluating(model, None), torch.no_grad():
        tracing.attach(trace=False)
        try:
            feed(model, moved(batch, home))
        finally:
            tracing.detach()
    return {layer: tracing.reached.get(layer, layer) for layer in tracing.layers}


class _Tracing(Capture):
    """A capture that counts nothing and follows one forward."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(
            model, layers="activations", unit_axis=None, example_axis=0, threads=None,
            make_state=lambda units, _: UnitState(units),
        )  # fmt: skip
        self.layers: dict[str, None] = {}
        self.reached: dict[str, str] = {}

    def begin(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        listens = super().begin(site, module, args, kwargs)
        if self._flow is not None:
            self._flow = _Reach(self.layers, self.reached)
        return listens

    def _adopt(self, frame: Frame, output: Tensor) -> None:
        super()._adopt(frame, output)
        if frame.site.role is not None:  # the module took the place of the functions inside
            inside = {point.name for point in frame.created}
            for layer, point in self.reached.items():
                if point in inside:
                    self.reached[layer] = frame.site.own.name

    def _count(self, point: Point, tensor: Tensor | None, training: bool, sequence_first: bool) -> None:
        pass


class _Reach(Flow):
    """Also notes which layers' units each tensor still holds, each in its place."""

    def __init__(self, layers: dict[str, None], reached: dict[str, str]) -> None:
        super().__init__()
        self._layers, self._reached = layers, reached
        self._holds = WeakTensorKeyDictionary()  # tensor: names of layers
        self._activates = WeakTensorKeyDictionary()  # result of an activation: what its input held

    def add(self, tensor: Tensor, point: Point, last_axis_after: str = "") -> None:
        super().add(tensor, point, last_axis_after)
        if point.role in (Role.WEIGHT, Role.NORM):
            self._layers[point.name] = None
            held = self._held(tensor) if point.role is Role.NORM else frozenset()
            self._holds[tensor] = held | {point.name}
        elif point.role is Role.ACTIVATION:
            self._reach(self._activates.get(tensor, frozenset()), point)  # type: ignore[no-untyped-call]
            self._holds[tensor] = frozenset()

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
        inputs = list(tensors_in((*args, *kwargs.values())))
        held: frozenset[str] = frozenset().union(*map(self._held, inputs))
        super().follow(role, entry, func, args, kwargs, result, point)
        name = getattr(func, "__name__", "") if entry is None else entry.name
        kept = role in (Role.NORM, Role.POOLING) or (role is Role.PASS and name in _KEEPING)
        for output in inputs[:1] if name == "__setitem__" else tensors_in(result):
            self._holds[output] = held if kept else frozenset()
            if role is Role.ACTIVATION:
                self._activates[output] = held
        if role is Role.ACTIVATION and point is not None:
            self._reach(held, point)

    def _held(self, tensor: Tensor) -> frozenset[str]:
        found: frozenset[str] = self._holds.get(tensor, frozenset())  # type: ignore[no-untyped-call]
        return found

    def _reach(self, held: frozenset[str], point: Point) -> None:
        for layer in held:
            self._reached.setdefault(layer, point.name)
