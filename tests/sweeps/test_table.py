"""One table of all trained networks."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.sweeps.records import KEYS, MEASURES, NUMBERS, measure_title, sweep_title
from neurocensus.sweeps.table import SweepTable

from ..audit_samples import NASTY_NAMES
from .samples import diverged, record, study, sweep

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["hidden1", "hidden2"])), max_size=12)


class TestRecords:
    def test_are_kept_in_their_order_with_what_else_they_have(self) -> None:
        rows = [record(2, seed=7), record(1)]
        table = SweepTable(rows)
        assert len(table) == 2
        assert [row["value"] for row in table.records] == [2, 1]
        assert tuple(table.records[0]) == (*KEYS, "seed")
        assert table.records[0] == rows[0]
        assert rows[0] == record(2, seed=7)  # and were not touched

    def test_numbers_are_python_s(self) -> None:
        given = record(np.float32(0.5), test_dead=np.int64(3), test_nnu=np.float64(0.25), train_f1=None)
        row = SweepTable([given]).records[0]
        assert {key: type(row[key]) for key in ("value", "test_dead", "test_nnu")} == {
            "value": float, "test_dead": int, "test_nnu": float,
        }  # fmt: skip
        assert math.isnan(row["train_f1"])
        assert row["diverged"] is None

    @pytest.mark.parametrize("key", KEYS)
    def test_every_key_is_needed(self, key: str) -> None:
        row = record()
        del row[key]
        with pytest.raises(
            ValueError, match=rf"^records\[1\]: expected the keys of a record, got none named '{key}'$"
        ):
            SweepTable([record(), row])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"network": 3}, r"records\[0\]\['network'\]: expected text, got int"),
            ({"value": "1"}, r"records\[0\]\['value'\]: expected a number, got str"),
            ({"test_nnu": True}, r"records\[0\]\['test_nnu'\]: expected a number, got bool"),
            ({"units": 3.0}, r"records\[0\]\['units'\]: expected an integer, got float"),
            ({"diverged": False}, r"records\[0\]\['diverged'\]: expected an integer, got bool"),
        ],
    )
    def test_values_of_another_type(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            SweepTable([record(**change)])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"value": math.nan}, r"\['value'\]: expected the swept value, a finite number, got nan"),
            ({"value": math.inf}, r"\['value'\]: expected the swept value, a finite number, got inf"),
            (
                {"sweep": "learning_rate", "value": 0},
                r"\['value'\]: expected a learning rate above 0, got 0.0",
            ),
            ({"units": -1}, r"\['units'\]: expected at least 0, got -1"),
        ],
    )
    def test_values_out_of_range(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=r"records\[0\]" + message):
            SweepTable([{**record(), **change}])

    def test_something_else_than_records(self) -> None:
        with pytest.raises(
            TypeError, match=r"records\[0\]: expected a mapping, one per trained network, got str"
        ):
            SweepTable(["cat"])  # type: ignore[list-item]

    def test_a_diverged_network_may_have_no_counts(self) -> None:
        row = SweepTable([diverged(1, test_dead=None, train_dead=math.nan)]).records[0]
        assert math.isnan(row["test_dead"])
        assert math.isnan(row["train_dead"])


class TestParts:
    @given(PAIRS)
    def test_networks_and_sweeps_split_the_table(self, pairs: list[tuple[str, str]]) -> None:
        table = SweepTable(record(i, network=n, sweep=s) for i, (n, s) in enumerate(pairs))
        parts = [table.of(network, sweep) for network in table.networks for sweep in table.sweeps]
        assert sum(map(len, parts)) == len(table)
        assert {(part.networks, part.sweeps) for part in parts if len(part)} == {
            ((n,), (s,)) for n, s in pairs
        }
        assert list(table.networks) == list(dict.fromkeys(n for n, _ in pairs))
        for part in parts:  # in the order of the whole
            assert sorted(part.column("value")) == list(part.column("value"))

    def test_all_of_one_network_or_sweep(self) -> None:
        table = SweepTable(study(count=3))
        assert table.of().records == table.records
        assert table.of("dog").sweeps == table.sweeps
        assert table.of(sweep="hidden2").networks == ("cat", "dog", "cat to dog")

    def test_unknown_names(self) -> None:
        table = SweepTable(study(count=2))
        with pytest.raises(
            ValueError, match="network: expected one of 'cat', 'dog', 'cat to dog', got 'cow'"
        ):
            table.of("cow")
        with pytest.raises(
            ValueError, match=r"sweep: expected one of 'learning_rate', 'hidden1'.*, got 'hidden9'"
        ):
            table.of("cat", "hidden9")

    def test_columns(self) -> None:
        table = SweepTable([record(1, test_dead=2), diverged(2, 300)])
        assert table.column("test_dead").tolist()[0] == 2
        assert table.column("test_accuracy").dtype == np.float64
        assert np.isnan(table.column("test_accuracy")).tolist() == [False, True]
        assert table.column("diverged").tolist()[1] == 300
        assert table.diverged.tolist() == [False, True]
        for key in NUMBERS:
            assert table.column(key).shape == (2,)
        with pytest.raises(ValueError, match=r"key: expected one of value, .*, got 'network'"):
            table.column("network")

    def test_one_class_is_told_by_the_rates(self) -> None:
        rates = [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.5), (math.nan, 0.0), (math.nan, math.nan)]
        table = SweepTable(
            record(1, test_true_positive_rate=true, test_false_positive_rate=false) for true, false in rates
        )
        assert table.one_class().tolist() == [True, True, False, False, False, False]
        assert not table.one_class("train").any()
        assert table.one_class().dtype == bool


class TestSheet:
    def test_best_and_median(self) -> None:
        rows = [
            record(value, test_accuracy=accuracy, test_nnu=nnu)
            for value, accuracy, nnu in ((1, 0.5, 0.4), (9, 0.9, 0.1), (4, 0.9, 0.2), (5, 0.6, 0.3))
        ]
        (row,) = SweepTable([*rows, diverged(6)]).sheet().rows()
        assert (row["models"], row["diverged"], row["one_class"]) == (5, 1, 0)
        assert (row["best_accuracy"], row["best_value"], row["best_nnu"]) == (
            0.9,
            4,
            0.2,
        )  # the smaller of two
        assert (row["median_accuracy"], row["median_nnu"]) == (0.75, 0.25)
        assert row["r"] == pytest.approx(np.corrcoef([0.4, 0.1, 0.2, 0.3], [0.5, 0.9, 0.9, 0.6])[0, 1])

    def test_a_row_per_network_and_sweep_for_people(self) -> None:
        table = SweepTable(study())
        sheet = table.sheet()
        assert [row[:2] for row in sheet.cells()][:2] == [
            ("cat", "learning rate"),
            ("cat", "width of hidden layer 1"),
        ]
        assert len(sheet.records) == 12
        notes = " ".join(sheet.notes)
        assert "one class: models that give all test examples the same class" in notes
        assert "models that diverged have no accuracy and no NNU" in notes
        assert str(table) == str(sheet)

    def test_training_set(self) -> None:
        (row,) = SweepTable([record(train_accuracy=0.7, test_accuracy=0.6)]).sheet("train").rows()
        assert row["best_accuracy"] == 0.7
        with pytest.raises(ValueError, match="part: expected 'train' or 'test', got 'validation'"):
            SweepTable([]).sheet("validation")  # type: ignore[arg-type]

    def test_nothing_but_diverged(self) -> None:
        sheet = SweepTable([diverged(1), diverged(2)]).sheet()
        assert sheet.cells()[0][5:] == ("n/a",) * 6

    def test_no_records(self) -> None:
        assert SweepTable([]).sheet().records == []
        assert repr(SweepTable([])) == "<SweepTable of 0 records: 0 networks, 0 sweeps>"

    def test_notes_only_what_is_there(self) -> None:
        assert len(SweepTable([record()]).sheet().notes) == 2


class TestFiles:
    def test_json_and_back(self) -> None:
        table = SweepTable([*study(count=8), record(**{"network": NASTY_NAMES[1], "seed": 3})])
        body = json.loads(json.dumps(table.to_dict(), allow_nan=False))
        back = SweepTable.from_dict(body)
        assert len(back) == len(table)
        for row, expected in zip(back.records, table.records, strict=True):
            assert tuple(row) == tuple(expected)
            for key, value in expected.items():
                known = not isinstance(value, float) or math.isfinite(value)
                assert (row[key] == value) if known else math.isnan(row[key]), key

    @pytest.mark.parametrize("body", [[], {}, {"records": "cat"}, {"records": 3}])
    def test_json_of_something_else(self, body: Any) -> None:
        with pytest.raises(
            TypeError, match=r"body: expected \{'records': \[\.\.\.\]\}, as to_dict gives, got"
        ):
            SweepTable.from_dict(body)

    def test_csv_has_a_row_per_network(self, tmp_path: Path) -> None:
        table = SweepTable([record(1, seed=3), diverged(2), record(3, network=NASTY_NAMES[1])])
        table.to_csv(tmp_path / "sweeps.csv")
        with open(tmp_path / "sweeps.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == (*KEYS, "seed")
        assert [row["seed"] for row in rows] == ["3", "", ""]
        assert [row["diverged"] for row in rows] == ["", "120", ""]
        assert rows[1]["test_accuracy"] == ""
        assert float(rows[0]["test_accuracy"]) == table.records[0]["test_accuracy"]
        assert rows[2]["network"] == NASTY_NAMES[1]

    def test_pandas(self) -> None:
        pytest.importorskip("pandas")
        frame = SweepTable(sweep(count=3)).to_pandas()
        assert list(frame.columns) == list(KEYS)
        assert frame["value"].tolist() == [1, 2, 3]


def test_what_people_call_it() -> None:
    assert sweep_title("learning_rate") == "learning rate"
    assert sweep_title("hidden12") == "width of hidden layer 12"
    assert sweep_title("my_layer") == "width of my_layer"
    assert measure_title("test_cohens_kappa") == "test Cohen's kappa"
    assert measure_title("train_nnu") == "training NNU"
    assert len(MEASURES) == 11
    for bad in ("accuracy", "test_", "test_dead", "valid_accuracy", ""):
        with pytest.raises(
            ValueError, match=r"measure: expected 'train_' or 'test_' and one of accuracy, .*, got"
        ):
            measure_title(bad)
