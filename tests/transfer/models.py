"""Small models that stand for what the tests are about."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Blocks(nn.Module):
    """A backbone that names its blocks, as those of the zoo do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.Conv2d(5, 6, 3),
        )
        self.blocks = {"block1": ("layers.0", "layers.1"), "block2": ("layers.3",), "block3": ("layers.5",)}
        self.register_buffer("mean", torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images - self.mean)
        return features.flatten(1)


class Transfer(nn.Module):
    """A backbone and a head; takes (N, 3, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Blocks()
        self.head = nn.Sequential(nn.Linear(6 * 2 * 2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.backbone(images))
        return scores


def learning(model: nn.Module) -> set[str]:
    """Names of the modules whose own parameters train."""
    return {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
