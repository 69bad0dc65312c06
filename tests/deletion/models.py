"""Models to delete units from, and units that are dead in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A block with one ReLU, called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(y)) + x)
        return out


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5),
        nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(5, 7), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(7, 2),
    )  # fmt: skip


def residual() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), Residual(6), Residual(6), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 2),
    )  # fmt: skip


def depthwise() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU6(inplace=True),
        nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6), nn.ReLU6(inplace=True),
        nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2),
    )  # fmt: skip


MODELS = {"plain": plain, "residual": residual, "depthwise": depthwise}


def images(count: int = 12, size: int = 8) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def seeded(name: str, seed: int = 0, kill: float = 0.3) -> nn.Sequential:
    """A model with random statistics, of whose biases a share is far below zero: these units are dead.

    Not those of the last layers, which no ReLU follows.
    """
    torch.manual_seed(seed)
    model = MODELS[name]()
    with torch.no_grad():
        alive = {*model[-3:], *(model[7:8] if name == "depthwise" else ())}
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
                module.weight.normal_(1, 0.3)
            if getattr(module, "bias", None) is not None and not isinstance(module, nn.LayerNorm):
                dead = (torch.rand(module.bias.shape) < kill) & (module not in alive)
                module.bias.normal_(0, 0.3)
                module.bias[dead] -= 50
        model[-1].weight.normal_(0, 1)
    return model.eval()
