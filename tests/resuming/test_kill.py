"""An audit is killed at any moment, and goes on: the files at the end are the same, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import neurocensus

ROOT = Path(__file__).parents[2]
MODEL = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(nn.Module):
    # Draws random numbers also in eval mode.
    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)
    def forward(self, x):
        x = self.act(self.conv(x + 0.01 * torch.rand(1)))
        return self.head(self.pool(x).flatten(1))

def net():
    torch.manual_seed(0)
    return Net()

def shuffled():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(38, 3, 8, 8, generator=generator)
    return DataLoader(TensorDataset(x, (x.mean((1, 2, 3)) > 0).long()), 5, shuffle=True, generator=generator)

def stream():
    generator = torch.Generator().manual_seed(2)  # the model draws from the global one
    for size in (3, 5, 1, 4, 8, 2, 6, 3):
        yield torch.rand(size, 3, 7, 7, generator=generator)
"""


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "net.py").write_text(MODEL)
    pixels = rng.integers(0, 256, (38, 7, 7, 3), np.uint8)
    np.savez(folder / "x.npz", x=pixels, y=rng.integers(0, 2, 38))
    np.save(folder / "x.npy", pixels)
    for index in range(18):
        path = folder / "images" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # One bad image, and a whole batch of them.
        if index == 4 or (path.parent.name == "b" and index > 8):
            path.write_bytes(b"no image")
        else:
            Image.fromarray(pixels[index]).save(path)


def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    write_data(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.resuming.killing", str(tmp_path), "3", "18"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={
            **os.environ, "PYTHONPATH": f"{Path(neurocensus.__file__).parents[1]}{os.pathsep}{ROOT}",
            "OMP_NUM_THREADS": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"jobs": 18, "complaints": []}
