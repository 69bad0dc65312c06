"""A `Counter` in a forward hook of each layer: how torch calls and observers come to activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.counter import Counter, Statistics


class InHooks:
    """Nothing of the activations is kept; a module that is called several times in a forward is one layer.

    Args:
        model: in eval mode.
        layers: names of modules, and the axis of their outputs that holds the units.
        counter: makes one for a unit axis.
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, int], counter: Callable[[int], Counter]
    ) -> None:
        self._model, self._layers, self._counter = model, layers, counter

    @torch.inference_mode()
    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        counters = {name: self._counter(axis) for name, axis in self._layers.items()}
        handles = [
            self._model.get_submodule(name).register_forward_hook(_into(counter))
            for name, counter in counters.items()
        ]
        try:
            for batch in batches:
                self._model(batch)
        finally:
            for handle in handles:
                handle.remove()
        return {name: counter.statistics() for name, counter in counters.items()}


def _into(counter: Counter) -> Callable[[nn.Module, Any, Tensor], None]:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        counter.update(output)

    return hook
