from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from neurocensus.assessment import METRICS, Confusion
from neurocensus.experiments import tables
from neurocensus.experiments.published import MACRO, MICRO, MODELS, corrected
from neurocensus.experiments.tables import Outcome, beside_published
from neurocensus.sheets import Sheet
from neurocensus.tables import json_ready

from ..audit_samples import audit_of

MATRIX = Confusion.from_counts(tp=28, fp=5, tn=12, fn=5)


def outcome(name: str, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "name": name, "title": "a title", "accuracy": 0.8, "dead": 3, "units": 10, "examples": 50, "nnu": 0.3,
        "nnu_published": 0.006, "skewness": 1.5, "consistency": math.nan, "confusion": MATRIX,
    }  # fmt: skip
    if name in MODELS:
        values["units"] = corrected(name).units
    return Outcome(**{**values, **changes})


ALL = [outcome(name) for name in MODELS]


def notes(sheet: Sheet) -> str:
    return " ".join(sheet.notes)


class TestOutcome:
    def test_of_an_audit(self) -> None:
        audit = audit_of({"conv": [[0.0, 1.0], [0.0, 2.0]], "fc": [[5.0], [1.0]]})
        found = Outcome.from_audit("mine", "", audit, accuracy=0.5)
        assert (found.dead, found.units, found.examples) == (1, 3, 2)
        assert (found.nnu, found.nnu_published) == (audit.nnu, audit.nnu_published)
        assert found.skewness == audit.spectrum().skewness
        assert found.consistency == audit.range().consistency
        assert (found.confusion, found.label) == (None, "mine")

    def test_survives_json(self) -> None:
        for each in (outcome("thesis-5a"), outcome("mine", confusion=None)):
            read = Outcome.from_dict(json.loads(json.dumps(json_ready(each.to_dict()), allow_nan=False)))
            assert math.isnan(read.consistency)
            assert read == each

    def test_label_is_the_thesis_s(self) -> None:
        assert outcome("thesis-5a", title="x").label == "5a - x"


class TestAccuracyTables:
    def test_hold_the_published_values(self) -> None:
        sheets = beside_published(ALL)
        for number, names in (("4.2", MACRO), ("4.3", MICRO)):
            rows = sheets[number].rows()
            assert [row["name"] for row in rows] == list(names)
            assert [row["thesis"] for row in rows] == [MODELS[name].accuracy for name in names]
            assert {row["here"] for row in rows} == {0.8}
        assert [row["poster"] for row in sheets["4.2"].rows()] == [0.763, 0.854, 0.892, 0.896, 0.949]
        assert "poster" in sheets["4.2"].headings
        assert "poster" not in sheets["4.3"].headings
        assert "another run" in notes(sheets["4.2"])

    def test_say_how_sure_the_measured_one_is(self) -> None:
        row = beside_published(ALL)["4.2"].rows()[0]
        assert (row["low"], row["high"]) == pytest.approx((0.670, 0.888), abs=0.001)  # Wilson, 40 of 50
        assert beside_published(ALL)["4.2"].cells()[0] == (
            "1 - basic cnn", "0.759", "0.763", "0.800", "0.670 to 0.888", "50",
        )  # fmt: skip

    def test_leave_room_for_what_was_not_run(self) -> None:
        sheets = beside_published([outcome("thesis-2", accuracy=math.nan)])
        assert list(sheets) == ["4.2", "4.4"]
        cells = sheets["4.2"].cells()
        assert cells[0] == ("1 - basic cnn", "0.759", "0.763", "", "", "")
        assert cells[1] == ("2 - img aug cnn", "0.835", "0.854", "n/a", "", "50")


class TestUtilizationTables:
    def test_put_published_corrected_and_measured_below_one_another(self) -> None:
        sheet = beside_published(ALL)["4.4"]
        assert sheet.cells()[:5] == [
            ("1", "thesis", "366", "1,697,000", "0.02157 %", "21.6 %", "0.759"),
            ("1", "corrected", "366", "929,000", "0.03940 %", "39.4 %", "0.759"),
            ("1", "here", "3", "46,450", "0.60000 %", "30 %", "0.800"),
            ("2", "thesis", "316", "1,697,000", "0.01862 %", "18.6 %", "0.835"),
            ("2", "here", "3", "84,850", "0.60000 %", "30 %", "0.800"),
        ]
        assert [row["name"] for row in sheet.rows() if row["source"] == "thesis"] == list(MACRO)
        assert "929 units" in notes(sheet)

    def test_print_what_the_thesis_prints(self) -> None:
        sheets = beside_published(ALL)
        printed = [
            row[4] for number in ("4.4", "4.5") for row in sheets[number].cells() if row[1] == "thesis"
        ]
        assert printed == [f"{MODELS[name].nnu_percent:.5f} %" for name in (*MACRO, *MICRO)]

    def test_say_what_differs_from_the_thesis(self) -> None:
        sheet = beside_published([outcome("thesis-5", units=1300)])["4.5"]
        assert "audited here on 50 images, by the thesis on 1,000" in notes(sheet)
        assert "thesis-5 has 1,300 units here and 9,217 in the thesis" in notes(sheet)
        same = beside_published([outcome("thesis-5", examples=1000)])["4.5"]
        assert "here" not in notes(same)

    def test_fit_a_terminal(self) -> None:
        for sheet in beside_published(ALL).values():
            console = Console(width=80, file=io.StringIO())
            console.print(sheet.table())
            lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
            assert max(map(len, lines)) <= 80
            last = sheet.cells()[-1]
            assert any(all(cell in line for cell in last[1:]) for line in lines)  # numbers in one piece


class TestSummaries:
    def test_measures(self) -> None:
        sheet = tables.measures([outcome("thesis-1"), outcome("mine", title="")])
        assert sheet.cells() == [
            ("1 - a title", "0.800", "30 %", "3", "929", "1.5", "n/a"),
            ("mine", "0.800", "30 %", "3", "10", "1.5", "n/a"),
        ]

    def test_metrics(self) -> None:
        sheet = tables.metrics([outcome("thesis-1"), outcome("many", confusion=None), outcome("thesis-5a")])
        assert sheet.headings == ("metric", "1", "5a")
        assert [row["metric"] for row in sheet.rows()] == list(METRICS)
        assert sheet.cells()[8] == ("Cohen's kappa", "0.554", "0.554")

    def test_nothing_measured(self) -> None:
        assert beside_published([]) == {}
        assert tables.measures([]).cells() == []
        assert tables.metrics([]).headings == ("metric",)

    def test_models_the_thesis_does_not_have_are_left_out(self) -> None:
        assert beside_published([outcome("mine")]) == {}

    @pytest.mark.parametrize("function", [beside_published, tables.measures, tables.metrics])
    def test_a_model_twice_is_an_error(self, function: Any) -> None:
        with pytest.raises(ValueError, match="outcomes: expected each model once, got thesis-1, thesis-1"):
            function([outcome("thesis-1"), outcome("thesis-1")])


def test_every_table_can_be_written(tmp_path: Path) -> None:
    for sheet in (*beside_published(ALL).values(), tables.measures(ALL), tables.metrics(ALL)):
        path = tmp_path / f"{sheet.name}.csv"
        sheet.to_csv(path)
        with path.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == len(sheet.rows())
        json.dumps(sheet.to_dict(), allow_nan=False)
        assert sheet.markdown().count("\n| ") == len(sheet.rows()) + 2
