"""docs/resume.md is true: its Python runs, its options exist, its table says what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import neurocensus as nc
from neurocensus.cli import app
from neurocensus.merging import shards
from neurocensus.resuming import stream

from ..audit_samples import assert_told_alike

DOC = (Path(__file__).parents[2] / "docs" / "resume.md").read_text(encoding="utf-8")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    batches = list(torch.randn(18, 3).split(4))
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval()
    names: dict[str, Any] = {"model": model, "loader": batches, "batches": batches}
    for block in re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL):
        exec(block, names)
    wanted = nc.audit(model, batches, progress=False).to_bytes()
    assert names["found"].to_bytes() == wanted
    assert nc.load("audit.safetensors").to_bytes() == wanted
    whole = names["whole"]
    assert whole.parts == shards(nc.load("half.safetensors"))
    assert_told_alike(whole, names["found"], "versions", "annotations")
    for name, layer in whole.layers.items():
        assert layer.state.digest() == names["found"].layers[name].state.digest()
    assert Path("audit.checkpoint").exists()


def test_options_and_figures_are_those_of_the_code() -> None:
    known = CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    for option in set(re.findall(r"--[a-z][a-z-]+", DOC)) - {"--nproc-per-node"}:
        assert option in known, option
    assert f"{stream._SAMPLED:,} values" in DOC
