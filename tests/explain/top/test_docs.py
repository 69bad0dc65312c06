"""docs/explain.md is true: its Python runs from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurocensus import explain
from neurocensus.explain.top.contact import LIMIT
from neurocensus.plots.contact import CLASSES

DOC = (Path(__file__).parents[3] / "docs" / "explain.md").read_text(encoding="utf-8")


class Network:
    def activations(self, x: Any) -> dict[str, Any]:
        return {"hidden1": np.maximum(x, 0)}


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(nn.Conv2d(3, 20, 3), nn.ReLU()))
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    loader = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255).split(5)
    x = np.random.default_rng(1).standard_normal((120, 4))
    names: dict[str, Any] = {"model": model, "images": images, "loader": loader, "network": Network(), "x": x}
    blocks = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    left = {path.name for path in (tmp_path / "run" / "top").iterdir()}
    assert left == {"top.safetensors", "1-features.1.jpg"}


def test_its_numbers_hold() -> None:
    assert f"A sheet has up to {LIMIT}\nunits" in DOC
    assert len(CLASSES) == 7
    assert "up to seven classes have colours" in DOC
    state = explain.TopState(5392, 9)
    assert round((state.values.nbytes + state.examples.nbytes) / 1e6, 1) == 0.8
    assert "SqueezeNet's 5,392 units and k = 9: 0.8 MB" in DOC
