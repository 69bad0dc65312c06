"""torchvision's ``create_feature_extractor``: a model that gives the activations; torch calls reduce them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.peers.counter import Statistics
from benchmarks.peers.torch_calls import COMPUTES, TorchCalls
from neurocensus._torchvision import import_torchvision


class FeatureExtractor:
    """The model is traced once, before any timing. All layers of a batch are in memory at its end.

    Args:
        model: in eval mode, one that torch.fx can trace.
        layers: names of modules, and the axis of their outputs that holds the units.
    """

    computes = f"all activations, at the end of each forward; torch calls reduce them to {COMPUTES}"

    def __init__(self, model: nn.Module, layers: Mapping[str, int]) -> None:
        import_torchvision()
        from torchvision.models import feature_extraction  # type: ignore[import-untyped]

        self._layers = layers
        self._model = feature_extraction.create_feature_extractor(model, list(layers))

    @torch.inference_mode()
    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        counters = {name: TorchCalls(axis) for name, axis in self._layers.items()}
        for batch in batches:
            found: dict[str, Tensor] = self._model(batch)
            for name, counter in counters.items():
                counter.update(found[name])
            found.clear()  # or they would live through the next forward
        return {name: counter.statistics() for name, counter in counters.items()}
