"""docs/data.md is true: its Python runs, and gives what its comments say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .trees import as_tar, tree

DOCS = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on, of torch's loader
def test_the_python_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pets = [f"{c}.{n}.png" for c in ("cat", "dog") for n in range(250)]
    flowers = ("daisy", "dandelion", "rose", "sunflower", "tulip")
    images = tree([*pets, *(f"{c}/{n}.png" for c in flowers for n in range(20))])  # all different
    for tar, kept in (("dogs_vs_cats.tar", True), ("flowers5.tar", False)):
        as_tar(tmp_path / tar, {name: image for name, image in images.items() if (name in pets) == kept})
    x, y = np.zeros((4, 64, 64, 3), np.uint8), np.arange(4) % 2
    cats = {"x_train": x, "y_train": y, "x_test": x, "y_test": y, "classes": ["non-cat", "cat"]}
    np.savez(tmp_path / "catvnoncat.npz", **cats)  # type: ignore[arg-type]
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL):
        exec(code, names)
    assert names["train"].inputs.shape == (300, 150, 150, 3)
    assert isinstance(names["train"].inputs, np.memmap)
    assert [len(part) for part in names["parts"]] == [300, 100, 100]
    assert names["x"].shape == (30, 3, 150, 150)
    assert (names["cats"].train.classes, names["dogs"].train.classes) == (
        ("non-cat", "cat"),
        ("non-dog", "dog"),
    )
    shapes = [part.inputs.shape for part in (names["dogs"].train, names["dogs"].test)]
    assert shapes == [(62, 64, 64, 3), (30, 64, 64, 3)]
