"""Two small tasks, so that an investigation takes seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurocensus.data import Examples, Pair
from neurocensus.experiments.investigation import Setup


def pair(name: str, *, seed: int, train: int = 24, test: int = 14, size: int = 5) -> Pair:
    """Noise that is brighter at the top for one class."""
    random = np.random.default_rng(seed)

    def part(count: int) -> Examples:
        labels = np.arange(count) % 2
        pixels = random.integers(0, 200, (count, size, size, 3))
        pixels[labels == 1, :2] += 55
        return Examples(pixels.astype(np.uint8), labels, (f"non-{name}", name))

    return Pair(part(train), part(test))


def setup(**changes: Any) -> Setup:
    """All parts, two values a sweep."""
    options: dict[str, Any] = {
        "source": pair("cat", seed=1),
        "target": pair("dog", seed=2, train=12),
        "scale": 0.04,
        "iterations": 60,
    }
    return Setup(**{**options, **changes})
