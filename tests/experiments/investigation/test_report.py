"""The investigation as files."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from neurocensus import pages
from neurocensus.experiments.investigation import TITLE, Investigation, report, run
from neurocensus.experiments.investigation.sheets import all_sheets, short_sheets
from neurocensus.experiments.published import TABLE_4_1

from .samples import pair, setup


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and not drawn, which takes most of the time."""

    def draw(figure: object, *, photographs: bool = False) -> pages.Drawing:
        return pages.Drawing(b"", 100, "jpeg" if photographs else "png")

    monkeypatch.setattr(pages, "draw", draw)


def test_the_files(done: Investigation, tmp_path: Path) -> None:
    paths = report.save(done, tmp_path)
    names = {path.name for path in paths}
    assert names == {path.name for path in tmp_path.iterdir()}
    pages = {f"sweep-{name}-{sweep}.png" for name in ("cat", "dog", "cat-to-dog")
             for sweep in ("learning_rate", "hidden1", "hidden2", "hidden3")}  # fmt: skip
    assert pages < names
    assert {
        "report.html", "results.json", "tables.md", "sweeps.csv", "frozen-sweeps.csv", "freezing.png",
        "strongest-cat-hidden1.jpg", "responses-cat-hidden1.png", "lives-cat-to-dog.png",
    } < names  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == sum(name.endswith((".png", ".jpg")) for name in names)
    body = json.loads((tmp_path / "results.json").read_text())
    assert body["title"] == TITLE
    assert [network["name"] for network in body["networks"]] == ["cat", "dog", "cat to dog"]
    assert (len(body["sweeps"]), len(body["freezing"]), len(body["frozen_sweeps"])) == (24, 128, 128)
    assert [table["name"] for table in body["tables"]] == [sheet.name for sheet in all_sheets(done)]
    with (tmp_path / "sweeps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert {row["network"] for row in rows} == {"cat", "dog", "cat to dog"}


@pytest.mark.usefixtures("undrawn")
def test_figures_of_a_run_that_did_more_are_taken_away(done: Investigation, tmp_path: Path) -> None:
    report.save(done, tmp_path)
    for name in ("mine.png", "results.csv"):
        (tmp_path / name).write_text("not of the report")
    less = dataclasses.replace(done, freezing=None, frozen_sweeps=None)
    names = {path.name for path in report.save(less, tmp_path)}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "mine.png", "results.csv"}
    assert "freezing.png" not in names


def test_tables(done: Investigation) -> None:
    sheets = {sheet.name: sheet for sheet in all_sheets(done)}
    assert len(sheets) == len(all_sheets(done))
    networks = sheets["networks"].records
    assert [record["widths"] for record in networks] == ["75-20-7-5-1"] * 2 + ["75-20-7-5-20-7-5-1"]
    assert [r["dead"] for r in networks] == [one.audit.dead for one in done.studied.values()]
    published = sheets["table-4.1"].records
    assert [record["published"] for record in published] == list(TABLE_4_1.metrics.values())
    assert published[0]["test"] == done.studied["cat"].confusions["test"].accuracy
    assert len(sheets["frozen-sweeps"].records) == 16
    tops = sheets["strongest"].records
    assert all(0 <= record["all"] + record["none"] <= record["living"] for record in tops)
    assert sheets["lives-cat-to-dog"].records[0]["units"] == 20
    assert [sheet.name for sheet in short_sheets(done)] == ["networks", "findings", "sweeps"]


@pytest.mark.usefixtures("undrawn")
def test_without_sweeps_there_is_less(done: Investigation, tmp_path: Path) -> None:
    bare = dataclasses.replace(done, sweeps=None, freezing=None, frozen_sweeps=None)
    names = {path.name for path in report.save(bare, tmp_path)}
    assert not any(name.startswith("sweep") for name in names)
    assert {"report.html", "strongest-dog-output.jpg"} < names
    hidden = {path.name for path in report.save(bare, tmp_path / "hidden", images=False)}
    assert {name for name in names if not name.startswith("strongest")} == hidden
    assert json.loads((tmp_path / "results.json").read_text())["sweeps"] is None


@pytest.mark.usefixtures("undrawn")
def test_hostile_class_names_stay_in_the_folder_and_out_of_the_page(tmp_path: Path) -> None:
    chosen = dataclasses.replace(
        setup(only=("freezing",), iterations=2),
        source=pair("<script>$x^2$", seed=1),
        target=pair("../../dog", seed=2),
    )
    out = tmp_path / "in" / "here"
    paths = report.save(run(chosen, out, progress=False), out)
    assert all(path.parent == out for path in paths)
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"here"}
    assert "<script>$" not in (out / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_network_that_diverged_is_reported(tmp_path: Path) -> None:
    """All of a sweep's networks, even: their tables hold nothing but NaN."""
    done = run(setup(only=("sweeps",), iterations=2), tmp_path, progress=False)
    assert done.sweeps is not None
    lost = [
        {key: float("nan") if key.startswith(("train_", "test_")) else value for key, value in record.items()}
        | {"diverged": 1, "train_dead": None, "test_dead": None}
        if record["network"] == "dog"
        else record
        for record in done.sweeps.records
    ]
    done = dataclasses.replace(done, sweeps=type(done.sweeps)(lost))
    assert len(report.save(done, tmp_path)) > 20
