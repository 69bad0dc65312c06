"""Images small enough to train on in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PER_CLASS = 24


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that a network can tell apart: reddish and bluish noise, `PER_CLASS` of each."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 2)):
        (folder / name).mkdir()
        for index in range(PER_CLASS):
            pixels = random.integers(0, 160, (70, 64, 3), np.uint8)
            pixels[..., channel] += 95
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder
