"""TorchLens' ``aggregate``: batches through a model, activations into streaming statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.counter import Statistics
from benchmarks.peers.torch_calls import COMPUTES, TorchCalls


class Units:
    """A TorchLens statistic of each unit, by torch calls. TorchLens' own know no units."""

    name: str | None = None

    def __init__(self, unit_axis: int) -> None:
        self._counter = TorchCalls(unit_axis)

    def update(self, value: Tensor) -> None:
        self._counter.update(value)

    def result(self) -> Statistics:
        return self._counter.statistics()


class Aggregate:
    """The first batch traces the model; TorchLens records the layers asked for in all others.

    TorchLens replaces torch's functions by its own when it is first used, and leaves them so. They are put
    back after each pass, within its time, so that what runs beside it is not slowed down.

    Args:
        model: in eval mode.
        layers: names of modules, and the axis of their outputs that holds the units.
        batch: for finding TorchLens' names of the layers.
        own: TorchLens' own statistic, `Spine`: of all values of a layer, in float64.
    """

    computes = f"activations of a batch at its end; torch calls reduce them to {COMPUTES}"

    def __init__(
        self, model: nn.Module, layers: Mapping[str, int], batch: Tensor, *, own: bool = False
    ) -> None:
        self._model, self._layers, self._own = model, layers, own
        self._labels = _labels(model, batch)

    @torch.inference_mode()
    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        import torchlens
        from torchlens.backends.torch.wrappers import unwrap_torch
        from torchlens.stats import Spine

        statistics: dict[str, Any] = {
            self._labels[name]: Spine() if self._own else Units(axis) for name, axis in self._layers.items()
        }
        try:
            found = torchlens.aggregate(self._model, batches, statistics)
        finally:
            unwrap_torch()
        results = {name: found[self._labels[name]] for name in self._layers}
        return {name: _of_layer(result) for name, result in results.items()} if self._own else results


@torch.inference_mode()
def _labels(model: nn.Module, batch: Tensor) -> dict[str, str]:
    """TorchLens' label of what each module gives. A module's name may be that of the model's output too."""
    import torchlens
    from torchlens.backends.torch.wrappers import unwrap_torch

    try:
        trace = torchlens.trace(model, batch)
        return {module: op.layer_label for op in trace.layer_list for module in op.output_of_modules}
    finally:
        unwrap_torch()


def _of_layer(spine: Any) -> Statistics:
    return {
        "largest of the layer": spine.finite_max,
        "smallest of the layer": spine.finite_min,
        "values of the layer": spine.count_total,
    }
