"""What freezing layers does."""

from __future__ import annotations

import itertools
import math
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.sweeps.freezing import effects, freezing_sheet, subsets, subsets_sheet

from .samples import LAYERS, freezing

SHARES = st.integers(0, 50).map(lambda count: count / 50)
LOST = {"test_accuracy": math.nan, "test_nnu": math.nan, "diverged": 40}


@st.composite
def scored(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Every subset of up to four layers, with any accuracy and NNU."""
    rows = freezing(LAYERS[: draw(st.integers(1, 4))])
    return [{**row, "test_accuracy": draw(SHARES), "test_nnu": draw(SHARES)} for row in rows]


class TestSubsets:
    @given(scored(), st.randoms(use_true_random=False))
    def test_best_first_whatever_the_order(self, rows: list[dict[str, Any]], random: Any) -> None:
        found = subsets(rows)
        shuffled = random.sample(rows, len(rows))
        assert [row["frozen"] for row in subsets(shuffled)] == [row["frozen"] for row in found]
        ranks = [(-row["test_accuracy"], row["test_nnu"], len(row["frozen"])) for row in found]
        assert ranks == sorted(ranks)

    def test_what_diverged_comes_last(self) -> None:
        rows = freezing()
        found = subsets([{**rows[0], **LOST}, *rows[1:]])
        assert found[-1]["frozen"] == ()
        assert found[-1]["diverged"] == 40

    def test_frozen_layers_are_in_network_order(self) -> None:
        (row,) = subsets([{**freezing()[-1], "frozen": ["output", "hidden1"], "layers": list(LAYERS)}])
        assert row["frozen"] == ("hidden1", "output")
        assert row["layers"] == LAYERS

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (
                {"frozen": "output"},
                TypeError,
                r"\['frozen'\]: expected a tuple of layers' names, got 'output'",
            ),
            ({"layers": (1, 2)}, TypeError, r"\['layers'\]: expected a tuple of layers' names, got \(1, 2\)"),
            ({"frozen": ("output",) * 2}, ValueError, r"\['frozen'\]: expected each layer once, got"),
            (
                {"frozen": ("fc", "output")},
                ValueError,
                r"\['frozen'\]: expected layers among 'cat.hidden1', .*, got 'fc'$",
            ),
            (
                {"layers": LAYERS[::-1]},
                ValueError,
                r"\['layers'\]: expected those of records\[0\], .* plot each network apart",
            ),
            (
                {"frozen": ()},
                ValueError,
                r"\['frozen'\]: expected each subset once, got that of records\[0\] again",
            ),
            ({"test_nnu": "0"}, TypeError, r"\['test_nnu'\]: expected a number, got str"),
        ],
    )
    def test_records_that_do_not_fit(self, change: dict[str, Any], error: type, message: str) -> None:
        rows = freezing()
        with pytest.raises(error, match=r"^records\[1\]" + message):
            subsets([rows[0], {**rows[1], **change}])

    def test_nothing_and_other_parts(self) -> None:
        with pytest.raises(
            ValueError, match="records: expected at least one subset of frozen layers, got none"
        ):
            subsets([])
        with pytest.raises(ValueError, match="part: expected 'train' or 'test', got 'all'"):
            subsets(freezing(), "all")  # type: ignore[arg-type]
        row = freezing()[0]
        del row["layers"]
        with pytest.raises(ValueError, match="expected the keys of a record, got none named 'layers'"):
            subsets([row])

    def test_sweep_and_value_are_not_needed(self) -> None:
        row = freezing()[0]
        assert subsets([{key: row[key] for key in row if key not in ("sweep", "value")}])


class TestEffects:
    @given(scored())
    def test_of_all_subsets_it_is_the_difference_of_means(self, rows: list[dict[str, Any]]) -> None:
        for effect in effects(rows):
            frozen = [row for row in rows if effect.layer in row["frozen"]]
            trained = [row for row in rows if effect.layer not in row["frozen"]]
            assert effect.pairs == len(frozen) == len(trained)
            for key, change in (("test_accuracy", effect.accuracy), ("test_nnu", effect.nnu)):
                means = [fmean(row[key] for row in side) for side in (frozen, trained)]
                assert change == pytest.approx(means[0] - means[1], abs=1e-12)
            assert effect.better + effect.worse <= effect.pairs

    @given(scored(), st.data())
    def test_only_whole_pairs_count(self, rows: list[dict[str, Any]], data: st.DataObject) -> None:
        """A layer that always adds 0.1 is found to do so, whatever else is missing or diverged."""
        layer = rows[0]["layers"][0]
        scores = {frozenset(row["frozen"]): row["test_accuracy"] for row in rows}
        raised = [
            {
                **row,
                "test_accuracy": scores[frozenset(row["frozen"]) - {layer}] + 0.1 * (layer in row["frozen"]),
            }
            for row in rows
        ]
        kept = [
            {**row, **data.draw(st.sampled_from([{}, {}, LOST]))}
            for row in raised
            if data.draw(st.booleans())
        ]
        if not kept:
            return
        effect = effects(kept)[0]
        if effect.pairs:
            assert effect.accuracy == pytest.approx(0.1)
            assert (effect.better, effect.worse) == (effect.pairs, 0)
        else:
            assert math.isnan(effect.accuracy)

    def test_in_network_order_and_for_either_part(self) -> None:
        rows = [{**row, "train_accuracy": 0.5 + 0.25 * ("hidden1" in row["frozen"])} for row in freezing()]
        assert [effect.layer for effect in effects(rows)] == list(LAYERS)
        found = effects(rows, "train")
        assert [effect.accuracy for effect in found] == [0, 0, 0.25, 0]
        assert [(effect.better, effect.worse) for effect in found] == [(0, 0), (0, 0), (8, 0), (0, 0)]


class TestSheets:
    def test_a_row_per_layer(self) -> None:
        rows = freezing()
        sheet = freezing_sheet(rows)
        assert [cells[0] for cells in sheet.cells()] == list(LAYERS)
        last = effects(rows)[-1]
        assert last.accuracy < -0.05  # the sample's last layer hurts
        assert sheet.cells()[-1][1:3] == ("8", f"{100 * last.accuracy:+.1f}")
        best = subsets(rows)[0]
        assert any(note.startswith(f"the best ({', '.join(best['frozen'])} frozen)") for note in sheet.notes)
        for what in ("nothing", "everything"):
            assert sum(note.startswith(f"{what} frozen: accuracy 0.") for note in sheet.notes) == 1
        assert not any("diverged" in note for note in sheet.notes)

    def test_diverged_networks_are_counted(self) -> None:
        rows = freezing()
        assert freezing_sheet([{**rows[0], **LOST}, *rows[1:]]).notes[-1] == (
            "1 of 16 networks diverged and are in no pair"
        )

    def test_every_subset(self) -> None:
        rows = freezing(LAYERS[:2])
        sheet = subsets_sheet([{**rows[0], **LOST}, *rows[1:]])
        assert len(sheet.records) == 4
        assert sheet.cells()[-1] == ("nothing", "0", "n/a", "n/a", "at 40")
        names = {cells[0] for cells in sheet.cells()}
        assert names == {"nothing", "cat.hidden1", "cat.hidden2", "cat.hidden1, cat.hidden2"}


def test_the_samples_have_every_subset() -> None:
    assert {frozenset(row["frozen"]) for row in freezing()} == {
        frozenset(subset) for k in range(5) for subset in itertools.combinations(LAYERS, k)
    }
