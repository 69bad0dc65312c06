"""Histories: in memory, as lines, and back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.training import History
from neurocensus.training.history import COLUMNS

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: FINITE for name in COLUMNS if name != "epoch"},
        optional={"nnu": FINITE | st.just(math.nan), "dead": st.integers(0, 99)},
    ),
    max_size=5,
)


def history(losses: list[float], stopped: str | None = None) -> History:
    rows = [
        {**dict.fromkeys(COLUMNS, 0.5), "epoch": epoch, "validation_loss": loss}
        for epoch, loss in enumerate(losses, 1)
    ]
    return History(tuple(rows), stopped)


@given(rows=ROWS, stopped=st.sampled_from([None, "epochs", "patience"]))
def test_lines_and_back(
    rows: list[dict[str, float]], stopped: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [{"epoch": epoch, **row} for epoch, row in enumerate(rows, 1)]
    before = History(tuple(rows), stopped if rows else None)
    folder = tmp_path_factory.mktemp("history")
    path = folder / "history.jsonl"
    path.write_text(before.to_jsonl())
    assert len(path.read_text().splitlines()) == len(rows)
    for after in (History.load(path), History.load(folder), History.load(str(path))):
        assert after.stopped == before.stopped
        assert repr(after.rows) == repr(before.rows)  # NaN too


def test_not_a_number_is_written_as_standard_json() -> None:
    rows = ({**history([1.0]).rows[0], "skewness": math.nan},)
    assert '"skewness": null' in History(rows).to_jsonl()


@given(st.lists(st.floats(0, 10), min_size=1))
def test_the_best_epoch_is_the_first_of_the_lowest_validation_loss(losses: list[float]) -> None:
    assert history(losses).best["epoch"] == losses.index(min(losses)) + 1


def test_a_column_has_a_value_for_each_epoch() -> None:
    rows = (*history([1.0, 2.0]).rows, {**history([1.0]).rows[0], "nnu": 0.25})
    nnu = History(rows).column("nnu")
    assert [math.isnan(value) for value in nnu] == [True, True, False]
    assert History(rows).column("validation_loss") == [1.0, 2.0, 1.0]


def test_no_best_of_nothing() -> None:
    with pytest.raises(ValueError, match="expected at least one epoch to choose the best of, got none"):
        _ = History().best


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"history: no such file: .*history\.jsonl"):
        History.load(tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"epoch": 1}', "[" * 100_000])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history([1.0]).to_jsonl() + line + "\n")
    with pytest.raises(ValueError, match=r"history\.jsonl, line 2: expected the JSON object of an epoch"):
        History.load(path)
