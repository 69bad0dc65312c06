"""docs/scratch.md is true: its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..conftest import shared_data

GUIDE = (Path(__file__).parents[2] / "docs" / "scratch.md").read_text(encoding="utf-8")


@pytest.mark.data
def test_the_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cats = shared_data("catvnoncat.npz")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catvnoncat.npz").symlink_to(cats)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("iterations=2500", "iterations=20"), names)
    made = {path.name for path in tmp_path.iterdir()}
    assert {"cat.safetensors", "cat.html", "sweeps", "sweeps.csv", "hidden1.png"} < made
