"""Networks to audit, with random weights: speed and memory do not ask what a network has learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.workloads.sizes import size
from neurocensus._torchvision import import_torchvision

FORMATS: Final = {
    "NCHW": torch.contiguous_format,
    "channels_last": torch.channels_last,
    "contiguous": torch.contiguous_format,  # what are no images
}


@dataclass(frozen=True)
class Workload:
    """A network and the batches that it is given.

    Args:
        build: the network, the same each time after `torch.manual_seed`.
        example: shape of one example of its input.
        batch: examples of a batch: so many that a forward takes a few tenths of a second on two cores.
        units: of the activations that a census counts, by hand; None: not written down.
        packages: what must be installed beside torch.
    """

    build: Callable[[], nn.Module]
    example: tuple[int, ...]
    batch: int
    units: int | None = None
    packages: tuple[str, ...] = ()

    def model(self, memory_format: str = "contiguous", dtype: str = "float32") -> nn.Module:
        """The network in eval mode."""
        torch.manual_seed(0)
        model = self.build().eval().to(getattr(torch, dtype))
        return model.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload, no-any-return]

    def batches(self, count: int, memory_format: str = "contiguous", dtype: str = "float32") -> list[Tensor]:
        """`count` different batches of its input."""
        generator = torch.Generator().manual_seed(1)
        draw = torch.rand if len(self.example) == 3 else torch.randn  # images, or features
        drawn: list[Tensor] = [draw(self.batch, *self.example, generator=generator) for _ in range(count)]
        like = {"dtype": getattr(torch, dtype), "memory_format": FORMATS[memory_format]}
        return [batch.to(**like) for batch in drawn]


# Images.

_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: pool


def vgg16(image: int) -> nn.Sequential:
    """VGG-16's convolutions (Simonyan & Zisserman 2015) over square images, with a small dense head."""
    layers: list[nn.Module] = []
    channels = 3
    for width in _VGG16:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    flat = channels * (image // 32) ** 2
    head = [nn.Flatten(), nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 2)]
    network = nn.Sequential(*layers, *head)
    for module in network:
        if isinstance(module, nn.Conv2d):  # keeps the scale of values through 13 layers, as training would
            nn.init.kaiming_normal_(module.weight)
    return network


def vgg16_layers(network: nn.Module) -> dict[str, int]:
    """What `neurocensus.audit` counts of `vgg16`, and the axis of the units, where no audit is to be made."""
    kinds = (nn.ReLU, nn.MaxPool2d)
    counted = [name for name, module in network.named_children() if isinstance(module, kinds)]
    *_, (logits, _) = network.named_children()
    return dict.fromkeys([*counted, logits], 1)


def resnet50() -> nn.Module:
    """torchvision's (He et al. 2016)."""
    network: nn.Module = import_torchvision().models.resnet50(weights=None)
    return network


# Features.


class Mlp(nn.Module):
    """The feed-forward half of a transformer's block, as in GPT-2 (Radford et al. 2019): pre-norm, GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.up = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.act, self.down = nn.GELU(approximate="tanh"), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        after: Tensor = self.down(self.act(self.up(self.norm(x))))
        return x + after


def transformer_mlps(width: int, layers: int) -> nn.Sequential:
    return nn.Sequential(*(Mlp(width, 4 * width) for _ in range(layers)))


def autoencoder(width: int, features: int) -> nn.Sequential:
    """A sparse auto-encoder (Bricken et al. 2023) in which about 1 of 100 features is active."""
    encoder, decoder = nn.Linear(width, features), nn.Linear(features, width)
    nn.init.normal_(encoder.weight, std=width**-0.5)  # of standard normal inputs makes the same
    nn.init.constant_(encoder.bias, -2.326)  # its 99th percentile
    return nn.Sequential(encoder, nn.ReLU(inplace=True), decoder)


def dense(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """ReLU layers of so many units, the last one without ReLU."""
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def one_layer(units: int) -> nn.Sequential:
    """Nothing but units: of few inputs, so that weights do not outweigh activations."""
    return nn.Sequential(nn.Linear(4, units), nn.ReLU(inplace=True))


_SMALL, _LARGE = size(150, 32), size(224, 64)
_WIDTH, _FEATURES = size(512, 64), size(131_072, 1024)
_MANY = size(9_217_000, 92_170)
THESIS = (8192, 512, 512, 1)
"""The thesis's largest networks: what VGG-16 gives for an image, two dense layers and the answer."""

NETWORKS: Final[Mapping[str, Workload]] = {
    "VGG-16 at 150": Workload(partial(vgg16, _SMALL), (3, _SMALL, _SMALL), size(8, 2)),
    "VGG-16 at 224": Workload(partial(vgg16, _LARGE), (3, _LARGE, _LARGE), size(4, 2)),
    "ResNet-50 at 150": Workload(resnet50, (3, _SMALL, _SMALL), size(16, 2), packages=("torchvision",)),
    "ResNet-50 at 224": Workload(resnet50, (3, _LARGE, _LARGE), size(8, 2), packages=("torchvision",)),
    "transformer MLPs": Workload(
        partial(transformer_mlps, size(768, 64), size(3, 2)), size((512, 768), (16, 64)), size(8, 2)
    ),
    "sparse auto-encoder": Workload(partial(autoencoder, _WIDTH, _FEATURES), (_WIDTH,), size(256, 8)),
    "dense, 9,217 units": Workload(partial(dense, 512, THESIS), (512,), size(256, 8), units=sum(THESIS)),
    "one layer, 9,217,000 units": Workload(partial(one_layer, _MANY), (4,), size(8, 2), units=_MANY),
}


# What hooks cost, and training.


class Functions(nn.Module):
    """`points` functional activations, one after another."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.points):
            x = F.relu(x)
        return x


def modules(points: int) -> nn.Sequential:
    """`points` activation modules, one after another."""
    return nn.Sequential(*(nn.ReLU() for _ in range(points)))


def convnet() -> nn.Sequential:
    """A small convolutional network for 10 classes of 32x32 images, in training mode."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.ReLU(), nn.Linear(128, 10))
