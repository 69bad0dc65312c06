"""A model, its data and a way to call the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neurocensus.cli import app

Run = Callable[..., Result]

MODEL = """
import torch
from torch import nn

class Half(nn.Module):
    # Four units of which the first two are dead; an activation that is never called.
    def __init__(self):
        super().__init__()
        self.dense, self.act, self.unused = nn.Linear(3, 4), nn.ReLU(), nn.ReLU()
        with torch.no_grad():
            self.dense.weight.copy_(torch.eye(4, 3).roll(2, 0))
            self.dense.bias.copy_(torch.tensor([-9., -9., 0., 0.]))
    def forward(self, x):
        return self.act(self.dense(x))

def conv():
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 2))

def raises():
    class Raises(Half):
        calls = 0
        def forward(self, x):
            self.calls += 1
            if self.calls > 1:
                raise ZeroDivisionError("half-way")
            return super().forward(x)
    return Raises()

def batches():
    x = torch.ones(3, 3)
    return [(x[:2], torch.tensor([2, 3])), (x[2:], torch.tensor([2]))]
"""


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("NEUROCENSUS_DEBUG", raising=False)
    yield
    sys.modules.pop("a net", None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose names hold spaces and other alphabets."""
    folder = tmp_path / "wörk dir"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "a net.py").write_text(MODEL)
    x = np.random.default_rng(0).random((10, 3), np.float32)
    np.savez(folder / "x.npz", x=x, y=np.where(x[:, 0] >= x[:, 1], 2, 3))
    np.savez(folder / "first.npz", x=x[:4])
    np.savez(folder / "second.npz", x=x[4:])
    return folder


@pytest.fixture
def run(here: Path) -> Run:
    """Call the command line with these words; stdout and stderr apart."""

    def call(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return call
