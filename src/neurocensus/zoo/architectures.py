"""The torchvision networks that serve as backbones: their feature parts, blocks and smallest images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn

from .._torchvision import import_torchvision
from .features import IMAGENET_MEAN, IMAGENET_STD

IMAGENET: Final = (IMAGENET_MEAN, IMAGENET_STD)
CENTRED: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Architecture:
    """One of torchvision's networks.

    layers: the top-level modules of its feature part, in the order in which they run.
    blocks: block name to the module paths in it: the stages that differ in resolution.
    minimum: smallest image, in pixels.
    normalisation: mean and standard deviation per channel that its weights were trained with.
    last_relu: whether the feature part ends before a ReLU that torchvision applies in its forward.
    options: further arguments of torchvision's builder.
    """

    layers: tuple[str, ...]
    blocks: Mapping[str, tuple[str, ...]]
    minimum: int
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    last_relu: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def _blocks(*paths: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {f"block{k}": block for k, block in enumerate(paths, 1)}


def _features(*ends: int) -> dict[str, tuple[str, ...]]:
    """Blocks of ``features``, a sequence; each ends before the next index of `ends`."""
    starts = (0, *ends[:-1])
    return _blocks(*(tuple(f"features.{i}" for i in range(a, b)) for a, b in zip(starts, ends, strict=True)))


_INCEPTION: Final = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)
_RESNET: Final = (("conv1", "bn1", "relu", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
_DENSENET: Final = (
    ("features.conv0", "features.norm0", "features.relu0", "features.pool0"),
    ("features.denseblock1", "features.transition1"),
    ("features.denseblock2", "features.transition2"),
    ("features.denseblock3", "features.transition3"),
    ("features.denseblock4", "features.norm5"),
)

# Minimum sizes as torchvision's metadata has them ("min_size"); below, a layer would have no output.
ARCHITECTURES: Final[dict[str, Architecture]] = {
    "vgg16": Architecture(("features",), _features(5, 10, 17, 24, 31), 32),
    "vgg19": Architecture(("features",), _features(5, 10, 19, 28, 37), 32),
    "resnet50": Architecture(sum(_RESNET, ()), _blocks(*_RESNET), 1),
    # Its weights take pixels from -1 to 1. torchvision's own preset normalises by IMAGENET and undoes that.
    "inception_v3": Architecture(
        sum(_INCEPTION, ()), _blocks(*_INCEPTION), 75, CENTRED, options={"init_weights": False}
    ),
    "densenet201": Architecture(("features",), _blocks(*_DENSENET), 29, last_relu=True),
    "squeezenet1_1": Architecture(("features",), _features(3, 6, 9, 13), 17),
    "mobilenet_v2": Architecture(("features",), _features(2, 4, 7, 14, 19), 1),
}


def network(name: str) -> nn.Module:
    """torchvision's network `name` without values: all of its parameters are on the meta device."""
    torchvision = import_torchvision()
    with torch.device("meta"):
        built: nn.Module = torchvision.models.get_model(name, weights=None, **ARCHITECTURES[name].options)
    return built
