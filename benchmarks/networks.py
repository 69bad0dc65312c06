"""Networks to audit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: pool


def vgg16(size: int) -> nn.Sequential:
    """VGG-16's convolutions (Simonyan & Zisserman 2015) over images of `size`, with a small dense head.

    Random weights: speed and memory do not ask what a network has learned.
    """
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in _VGG16:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    flat = channels * (size // 32) ** 2
    head = [nn.Flatten(), nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 2)]
    network = nn.Sequential(*layers, *head)
    for module in network:
        if isinstance(module, nn.Conv2d):  # keeps the scale of values through 13 layers, as training would
            nn.init.kaiming_normal_(module.weight)
    return network.eval()


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
