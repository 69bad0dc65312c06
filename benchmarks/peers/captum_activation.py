"""Captum's ``LayerActivation``, which gives the activations of layers; torch calls reduce them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.peers.counter import Statistics
from benchmarks.peers.torch_calls import COMPUTES, TorchCalls


class LayerActivation:
    """All layers in one forward. It copies each output, since in-place operations may come after it, and
    holds the copies of all layers until the forward is over.

    Args:
        model: in eval mode.
        layers: names of modules, and the axis of their outputs that holds the units.
    """

    computes = f"copies of all activations; torch calls reduce them to {COMPUTES}"

    def __init__(self, model: nn.Module, layers: Mapping[str, int]) -> None:
        from captum.attr import LayerActivation as Captum  # type: ignore[import-untyped]

        self._layers = layers
        self._captum = Captum(model, [model.get_submodule(name) for name in layers])

    @torch.inference_mode()
    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        counters = {name: TorchCalls(axis) for name, axis in self._layers.items()}
        for batch in batches:
            found = self._captum.attribute(batch)
            for counter, activation in zip(counters.values(), found, strict=True):
                counter.update(activation)
            del found, activation  # or they would live through the next forward
        return {name: counter.statistics() for name, counter in counters.items()}
