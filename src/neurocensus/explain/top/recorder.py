"""`TopRecorder`: the examples that activate each unit most, found while a model runs in any loop."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ...arguments import integer
from ...capture.names import class_name, unwrapped
from ...observer import Observer
from ...selection import Layers
from .result import LayerTop, TopExamples
from .state import TopState


class TopRecorder(Observer):
    """Finds the examples that activate each unit most, while the model runs in any loop.

    ::

        with TopRecorder(model, 9) as top:
            audit = nc.audit(model, loader)      # one pass for both
        top.compute().layers["features.1"].examples

    Examples are numbered in the order in which they go through the model, from 0. The model's mode, gradients
    and data are yours: the recorder only looks. A compiled model runs uncompiled while it is attached.

    Args:
        model: the model, in eager mode.
        k: examples to find for each unit.
        layers, unit_axis, example_axis: see `neurocensus.Auditor`.

    Attributes:
        mask: see `neurocensus.Auditor`.

    Raises:
        TypeError: `model` is not an eager `nn.Module`, `k` is not an integer.
        ValueError: `k` below 1, a layer name that does not exist, an axis out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        k: int = 9,
        *,
        layers: Layers = "activations",
        unit_axis: int | Mapping[str, int] | None = None,
        example_axis: int | Mapping[str, int] = 0,
    ) -> None:
        k = integer("k", k, 1)

        def make_state(units: int, device: torch.device) -> TopState:
            return TopState(units, k, device=device if device.type == "cuda" else None)

        super().__init__(
            model, make_state=make_state, layers=layers, unit_axis=unit_axis, example_axis=example_axis
        )

    def compute(self) -> TopExamples:
        """What was found so far, as a copy: go on, and compute again.

        Warns of points that could not be looked at and of layers that the mask did not fit.

        Raises:
            ValueError: nothing was seen.
        """
        return self._compute(None)

    def _compute(self, examples: int | None) -> TopExamples:
        self._warn()
        layers = {}
        for point in self.points():
            best = point.total()
            layers[point.name] = LayerTop(point.name, point.kind, best.values, best.examples)
        if not layers:
            raise ValueError("model: expected it to have run while this was attached; nothing was seen")
        return TopExamples(
            layers,
            model=class_name(unwrapped(self.model)),
            examples=self._capture.examples if examples is None else examples,
        )
