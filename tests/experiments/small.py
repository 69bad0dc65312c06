"""A trial that takes milliseconds: a head on four features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neurocensus.data import Examples
from neurocensus.experiments.trial import Splits, Trial
from neurocensus.training import Settings
from neurocensus.zoo import Head


def splits(classes: int = 2, seed: int = 0, test_seed: int = 1) -> Splits:
    """Twelve examples of each part, classes in turn."""

    def part(number: int) -> Examples:
        inputs = np.random.default_rng(number).random((12, 4), np.float32)
        labels = np.arange(12) % classes
        inputs[:, 0] += labels
        return Examples(inputs, labels, tuple(map(str, range(classes))))

    return Splits(part(10 + seed), part(20 + seed), part(30 + test_seed))


def trial(name: str = "mine", *, data: Splits | None = None, weights: int = 0, **changes: Any) -> Trial:
    """`weights` is the seed of the initial ones."""
    found = splits() if data is None else data

    def build() -> Head:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(weights)
            return Head(4, (3,), classes=len(found.train.classes))

    values: dict[str, Any] = {
        "name": name, "title": "", "build": build, "splits": lambda: found,
        "settings": Settings(epochs=1, learning_rate=1e-3, batch_size=6),
    }  # fmt: skip
    return Trial(**{**values, **changes})
