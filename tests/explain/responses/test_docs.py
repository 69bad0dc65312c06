"""docs/responses.md is true: its Python runs, and what it says of kinds and limits is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurocensus.data import Examples
from neurocensus.explain.lives import STATUSES
from neurocensus.plots import lives, responses
from neurocensus.training import Settings

DOC = (Path(__file__).parents[3] / "docs" / "responses.md").read_text(encoding="utf-8")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    rng, labels = np.random.default_rng(0), np.arange(40) % 2
    examples = Examples(rng.normal(size=(40, 5)).astype(np.float32), labels, ("no cat", "cat"))
    torch.manual_seed(0)
    names: dict[str, Any] = {
        "model": nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 1), nn.Sigmoid()),
        "train": examples, "validation": examples, "settings": Settings(10, 0.01),
    }  # fmt: skip
    blocks = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert names["responses"].steps.tolist() == [0, 5, 10]
    assert [life.steps.tolist() for life in names["lives"].values()] == [[5, 10]] * 2
    for picture in ("1.png", "3.png", "lives.png"):
        assert (tmp_path / picture).stat().st_size > 1000
    assert (tmp_path / "runs" / "cats" / "responses" / "step-00000005.safetensors").is_file()


def test_kinds_and_limits() -> None:
    for status in STATUSES:
        assert f"\n| {status} |" in DOC
    assert f"draws {responses.LIMIT}\nunits at the most" in DOC
    assert f"More than {lives.NAMED} units are sorted" in DOC
