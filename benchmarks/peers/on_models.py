"""The ways from a model and its batches to statistics of its layers, by the names that readers see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, runtime_checkable

from torch import Tensor, nn

from benchmarks.peers import (
    captum_activation,
    feature_extractor,
    observers,
    onnx_calibrator,
    torchlens_aggregate,
)
from benchmarks.peers.compiled import CompiledCalls
from benchmarks.peers.counter import Counter, Statistics
from benchmarks.peers.hooks import InHooks
from benchmarks.peers.torch_calls import COMPUTES, TorchCalls


class Way(Protocol):
    """One pass over batches; each pass begins anew."""

    def __call__(self, batches: Iterable[Tensor]) -> Mapping[str, Statistics]: ...


@runtime_checkable
class HasForward(Protocol):
    """A way that runs the model by kernels of its own."""

    def forward(self, batches: Iterable[Tensor]) -> None: ...


Make = Callable[[nn.Module, Mapping[str, int], Tensor], Way]
"""From a model, its layers with the axes of their units, and a batch. What it takes is not timed."""


@dataclass(frozen=True)
class Peer:
    """One of them.

    Args:
        make: see `Make`.
        computes: what it gives of a layer.
        packages: what must be installed beside torch.
        histogram: it keeps a histogram, and is timed beside an audit that does.
        exact: it runs the same kernels: what it finds is the same to the last bit.
    """

    make: Make
    computes: str
    packages: tuple[str, ...] = ()
    histogram: bool = False
    exact: bool = True


def _in_hooks(counter: Callable[[int], Counter]) -> Make:
    return lambda model, layers, batch: InHooks(model, layers, counter)


def _traced(way: Callable[[nn.Module, Mapping[str, int]], Way]) -> Make:
    return lambda model, layers, batch: way(model, layers)


_ONNX = ("onnx", "onnxruntime", "onnxscript")
PEERS: Final[Mapping[str, Peer]] = {
    "torch calls": Peer(_in_hooks(TorchCalls), COMPUTES),
    "torch.compile": Peer(_in_hooks(CompiledCalls), COMPUTES),
    "torch.ao PerChannelMinMaxObserver": Peer(
        _in_hooks(observers.PerChannelMinMax), observers.PerChannelMinMax.computes
    ),
    "torch.ao HistogramObserver": Peer(
        _in_hooks(observers.Histogram), observers.Histogram.computes, histogram=True
    ),
    "Captum LayerActivation": Peer(
        _traced(captum_activation.LayerActivation), captum_activation.LayerActivation.computes, ("captum",)
    ),
    "TorchLens": Peer(torchlens_aggregate.Aggregate, torchlens_aggregate.Aggregate.computes, ("torchlens",)),
    "TorchLens, its own statistic": Peer(
        partial(torchlens_aggregate.Aggregate, own=True),
        "extrema, counts, sums and moments of all values of a layer; nothing of a unit",
        ("torchlens",),
    ),
    "torchvision create_feature_extractor": Peer(
        _traced(feature_extractor.FeatureExtractor),
        feature_extractor.FeatureExtractor.computes,
        ("torchvision",),
    ),
    "ONNX Runtime calibrator": Peer(
        onnx_calibrator.MinMax, onnx_calibrator.MinMax.computes, _ONNX, exact=False
    ),
    "ONNX Runtime histogram calibrator": Peer(
        onnx_calibrator.Histogram, onnx_calibrator.Histogram.computes, _ONNX, histogram=True, exact=False
    ),
}
