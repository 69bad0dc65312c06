"""Small things to train: pictures with a bright half, and networks that tell which."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurocensus.data import Examples


def pictures(count: int, *, seed: int = 0, classes: int = 2, size: int = 6) -> Examples:
    """Noise (count, size, size, 3), each class brighter in rows of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    inputs = rng.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
    for example, label in enumerate(labels):
        inputs[example, label * size // classes : (label + 1) * size // classes] += 100
    return Examples(inputs, labels, tuple(f"class {k}" for k in range(classes)))


def features(count: int, *, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    inputs = rng.normal(size=(count, 5)) + labels[:, None]
    return Examples(inputs.astype(np.float32), labels, ("low", "high"))


def net(*, seed: int = 0, outputs: int = 1, dropout: float = 0.2) -> nn.Sequential:
    """Has what a resumed training could get wrong: dropout and batch normalization."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, outputs),
        ]
        return nn.Sequential(*layers, *([nn.Sigmoid()] if outputs == 1 else []))


def dense(*, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def noise(inputs: Tensor) -> Tensor:
    """An augmentation that draws from torch's generator."""
    return inputs + 0.05 * torch.randn_like(inputs)
