"""docs/loops.md is true: its Python runs, and gives what its comments say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = (Path(__file__).parents[1] / "docs" / "loops.md").read_text(encoding="utf-8")


def test_the_python_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL):
        exec(code, names)
    assert (names["training"].batches, names["training"].examples) == (4, 16)
    assert names["validation"].examples == 800
    assert names["later"].compute("eval").examples == 1200
    assert list(names["window"].layers) == ["1", "2"]
    assert names["auditor"].modes == ("eval",)
