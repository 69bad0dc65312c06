from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from neurocensus import pages
from neurocensus.sheets import Column, Sheet, field

from .audit_samples import NASTY_NAMES

COLUMNS = (
    Column("name", field("name"), left=True),
    Column("half", lambda record: f"{record['value'] / 2:g}"),
    Column("note", field("note", str.upper)),
)
SHEET = Sheet(
    "sizes",
    "Sizes of things",
    COLUMNS,
    [{"name": "a", "value": 3.0, "note": "x"}, {"name": "b", "value": math.nan, "note": None}],
    ["first", "second."],
)


def test_cells_are_for_people_and_rows_for_programs() -> None:
    assert SHEET.headings == ("name", "half", "note")
    assert SHEET.cells() == [("a", "1.5", "X"), ("b", "nan", "")]
    assert SHEET.rows()[0] == {"name": "a", "value": 3.0, "note": "x"}


def test_text() -> None:
    assert str(SHEET).splitlines() == [
        "Sizes of things", "", "name  half  note", "a      1.5     X", "b      nan", "- first", "- second.",
    ]  # fmt: skip


def test_markdown() -> None:
    assert SHEET.markdown() == (
        "**Sizes of things**\n\n| name | half | note |\n| --- | ---: | ---: |\n| a | 1.5 | X |\n"
        "| b | nan |  |\n\n- first\n- second.\n"
    )


def test_markdown_shows_names_as_they_are() -> None:
    sheet = Sheet(
        "s", "a|b", COLUMNS[:1], [{"name": name} for name in ("true_rate", "_x_", "a|b", "<b>", "`")]
    )
    lines = sheet.markdown().splitlines()
    assert lines[0] == r"**a\|b**"
    assert lines[4:] == ["| true_rate |", r"| \_x\_ |", r"| a\|b |", r"| \<b\> |", r"| \` |"]


@given(st.text())
def test_a_name_stays_in_its_cell(name: str) -> None:
    lines = Sheet("s", "t", COLUMNS[:1], [{"name": name}]).markdown().splitlines()
    assert len(lines) == 5
    assert lines[4].replace("\\\\", "").replace(r"\|", "").count("|") == 2


def test_csv_and_json_hold_the_records(tmp_path: Path) -> None:
    SHEET.to_csv(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "name,value,note\na,3.0,x\nb,,\n"
    body = json.loads(json.dumps(SHEET.to_dict(), allow_nan=False))
    assert body["rows"] == [
        {"name": "a", "value": 3, "note": "x"},
        {"name": "b", "value": None, "note": None},
    ]
    assert body["notes"] == ["first", "second."]


def test_an_empty_sheet_is_still_a_sheet(tmp_path: Path) -> None:
    empty = Sheet("s", "t", COLUMNS, [])
    empty.to_csv(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().strip() == ""
    assert empty.table().row_count == 0
    assert str(empty).splitlines()[2] == "name  half  note"


def test_terminal_has_names_as_text_and_notes_below() -> None:
    sheet = Sheet("s", "[red]t[/red]", COLUMNS[:1], [{"name": name} for name in NASTY_NAMES], ["[b]note[/b]"])
    console = Console(file=io.StringIO(), width=120)
    console.print(sheet.table())
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]t[/red]" in out
    assert "[red]x[/red]" in out
    assert "- [b]note[/b]" in out
    assert "\x1b" not in out


def test_page() -> None:
    page = SHEET.page()
    assert isinstance(page, pages.Table)
    assert (page.title, page.left, page.reading) == ("Sizes of things", 1, "First. Second.")


def test_pandas() -> None:
    pytest.importorskip("pandas")
    assert SHEET.to_pandas()["name"].tolist() == ["a", "b"]
