"""Reports of studies of every kind: one model, many classes, names with markup, numbers that are missing."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from neurocensus.experiments import report, study
from neurocensus.experiments.study import Study

from . import small


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Study:
    trials = [small.trial(name, transferred=name == "b") for name in ("a", "b")]
    facts = [("data", "pictures")]
    return study.run("Two", trials, tmp_path_factory.mktemp("two"), facts=facts, progress=False)


def changed(of: Study, changes: Sequence[dict[str, Any]]) -> Study:
    """The study with other outcomes, one for each of the changes."""
    done = next(iter(of.finished.values()))
    outcomes = [dataclasses.replace(done.outcome, **each) for each in changes]
    finished = {
        outcome.name: dataclasses.replace(
            done, outcome=outcome, trial=dataclasses.replace(done.trial, name=outcome.name)
        )
        for outcome in outcomes
    }
    return Study(of.title, finished, of.facts)


def names(of: Study) -> list[str]:
    return [sheet.name for sheet in report.all_sheets(of)]


def test_leaves_numbers_and_how_they_came_about(two: Study, tmp_path: Path) -> None:
    written = report.save_study(two, tmp_path)
    assert {path.name for path in written} == {
        "results.json", "tables.md", "report.html", "nnu.png", "spectrum.png", "range.png", "training.png",
        "roc.png", "relations.png", "weights-b.png",
    }  # fmt: skip
    body = json.loads((tmp_path / "results.json").read_text())
    assert body["options"] == {"data": "pictures"}
    assert body["models"][1]["images"] == {"train": 12, "validation": 12, "test": 12}
    assert body["models"][1]["settings"]["learning_rate"] == 1e-3
    page = (tmp_path / "report.html").read_text()
    assert "12 to train, 12 to validate, 12 to test" in page
    assert page.count("none is NaN or infinite") == 1  # what all have in common is said once
    assert str(tmp_path) not in page


def test_more_than_two_classes(tmp_path: Path) -> None:
    trials = [small.trial(name, data=small.splits(classes=3)) for name in ("a", "b")]
    done = study.run("Three", trials, tmp_path / "models", progress=False)
    written = {path.name for path in report.save_study(done, tmp_path)}
    assert "roc.png" not in written
    assert names(done) == ["measures", "relations"]


def test_names_with_markup(two: Study, tmp_path: Path) -> None:
    bad = "<b>[bold]|x|\x1b[31m"
    report.save_study(changed(two, [{"name": bad}, {"name": "b"}]), tmp_path)
    assert "<b>" not in (tmp_path / "report.html").read_text()
    assert "\x1b" not in (tmp_path / "tables.md").read_text()


@pytest.mark.parametrize("order", [1, -1])
def test_a_model_without_numbers_is_neither_best_nor_lowest(two: Study, order: int) -> None:
    nothing = {"accuracy": math.nan, "nnu": math.nan, "skewness": math.nan}
    changes = [{"name": "none", **nothing}, {"name": "some", "accuracy": 0.25, "nnu": 0.125}]
    numbers = report._page(changed(two, changes[::order]), [], []).numbers
    assert [number.value for number in numbers] == ["25 %", "12.5 %"]
    assert all(number.reading.startswith("some") for number in numbers)


def test_an_outlier_gets_a_picture_without_it(two: Study, tmp_path: Path) -> None:
    shares = {"a": 0.01, "b": 0.02, "c": 0.45}
    outlier = changed(two, [{"name": name, "nnu": share} for name, share in shares.items()])
    written = {path.name for path in report.save_study(outlier, tmp_path)}
    assert "nnu-without-outlier.png" in written
    assert report._without_outlier(outlier.outcomes) == {"a": 0.01, "b": 0.02}


@pytest.mark.parametrize(
    ("models", "tables"),
    [
        (("thesis-1", "thesis-5"), ["4.2", "4.4"]),
        (("thesis-5a", "thesis-5"), ["4.3", "4.5"]),
        (("thesis-5",), ["4.2", "4.3", "4.4", "4.5"]),
        (("thesis-2", "thesis-5a"), ["4.2", "4.3", "4.4", "4.5"]),
        (("mine", "thesis-2"), ["4.2", "4.4"]),
        (("mine",), []),
    ],
)
def test_the_published_tables_are_those_of_the_models(
    two: Study, models: Sequence[str], tables: Sequence[str]
) -> None:
    found = names(changed(two, [{"name": name} for name in models]))
    assert [name for name in found if name.startswith("table")] == [f"table-{number}" for number in tables]
