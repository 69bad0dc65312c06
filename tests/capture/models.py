"""Models to capture, ways to run them, and what a layer's counts must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from neurocensus import reference
from neurocensus.auditor import Auditor
from neurocensus.result import Audit, LayerAudit

EXACT = ("examples", "values", "nonzero", "active_examples", "max", "min", "argmax", "nan", "inf")


def _assert_exact(layer: LayerAudit, expected: reference.Census) -> None:
    for field in EXACT:
        np.testing.assert_array_equal(getattr(layer.state, field), getattr(expected, field), err_msg=field)


def assert_is(layer: LayerAudit, expected: reference.Census) -> None:
    """The layer's state is `expected`, moments to rounding."""
    _assert_exact(layer, expected)
    for field in ("mean", "m2", "mean_abs"):
        np.testing.assert_allclose(
            getattr(layer.state, field), getattr(expected, field), rtol=1e-5, atol=1e-6
        )


def assert_counts(layer: LayerAudit, outputs: list[Tensor], unit_axis: int, example_axis: int = 0) -> None:
    """The layer's state is that of the reference over `outputs`, one after the other."""
    expected = reference.empty(layer.state.units)
    for output in outputs:
        part = reference.census(
            output.detach().double().numpy(),
            unit_axis,
            example_axis=example_axis,
            first_example=expected.next_example,
        )
        expected = reference.merge(expected, part)
    _assert_exact(layer, expected)


def run(model: nn.Module, *inputs: Any, **options: Any) -> Audit:
    """Audit a model as it is (mode, gradients) over some forwards."""
    with Auditor(model, **options) as auditor:
        for x in inputs:
            model(*x) if isinstance(x, tuple) else model(x)
    return auditor.compute()


def axes(result: Audit) -> dict[str, int]:
    return {name: layer.unit_axis for name, layer in result.layers.items()}


class Apply(nn.Module):
    """A module out of a function of itself and the input."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2))
