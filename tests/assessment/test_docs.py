"""docs/assessment.md is true: its Python runs, no metric is missing, its numbers of the thesis hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neurocensus.assessment import METRICS, relations
from neurocensus.assessment.confusion import TITLES
from neurocensus.experiments.published import MACRO, MODELS

from ..audit_samples import audit_of, relu_arrays

DOC = (Path(__file__).parents[2] / "docs" / "assessment.md").read_text(encoding="utf-8")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "labels": [0, 1, 1, 0], "scores": [0.1, 0.9, 0.4, 0.2], "audit": audit_of(relu_arrays(2)),
    }  # fmt: skip
    blocks = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "roc.png").stat().st_size > 1000
    assert (tmp_path / "relations.png").stat().st_size > 1000


def test_every_metric_is_explained() -> None:
    for name in METRICS:
        assert f"\n| {TITLES[name]} " in DOC


def test_the_thesis_s_relations_are_as_told() -> None:
    told = {MACRO: "rho -1\n(-1 to -0.34, p 0.017)", tuple(MODELS): "-0.67 (-0.95 to 0.11, p 0.083)"}
    for names, words in told.items():
        assert words in DOC
        found = relations(
            {"nnu": [MODELS[name].nnu for name in names]},
            {"accuracy": [MODELS[name].accuracy for name in names]},
        ).pairs[0]
        for value in (found.low, found.high):
            assert re.search(rf"{value:.2g}\b", words)
        assert f"p {found.p:.2g}" in words
