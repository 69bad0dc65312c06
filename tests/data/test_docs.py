"""docs/data.md is true: its Python runs, and gives what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from .trees import as_tar, png

DOCS = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on, of torch's loader
def test_the_python_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = png()
    as_tar(tmp_path / "dogs_vs_cats.tar", {f"{c}.{n}.png": one for c in ("cat", "dog") for n in range(250)})
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["train"].inputs.shape == (300, 150, 150, 3)  # type: ignore[attr-defined]
    assert isinstance(names["train"].inputs, np.memmap)  # type: ignore[attr-defined]
    assert [len(part) for part in names["parts"]] == [300, 100, 100]  # type: ignore[attr-defined]
    assert names["x"].shape == (30, 3, 150, 150)  # type: ignore[attr-defined]
