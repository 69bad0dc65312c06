"""Small tables for people: one set of rows for the terminal, Markdown, CSV, JSON, pandas and HTML pages."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import storage, tables, text

if TYPE_CHECKING:
    import pandas
    import rich.table

    from . import pages


@dataclass(frozen=True)
class Column:
    """A column as people see it."""

    heading: str
    cell: Callable[[Mapping[str, Any]], str]
    """What a record shows here; see `field`."""
    left: bool = False
    """Text, flush left. Such columns come before all others, which are numbers."""


def field(key: str, show: Callable[[Any], str] = str) -> Callable[[Mapping[str, Any]], str]:
    """A cell that shows one value of a record; nothing where that is None."""

    def cell(record: Mapping[str, Any]) -> str:
        return "" if record[key] is None else show(record[key])

    return cell


@dataclass(frozen=True)
class Sheet:
    """A table of a few rows."""

    name: str
    """For files, such as "table-4.2"."""
    title: str
    columns: Sequence[Column]
    records: Sequence[Mapping[str, Any]]
    """One per row, all with the same keys: numbers unrounded, NaN or None where there is none."""
    notes: Sequence[str] = ()
    """What to know when reading it, one sentence each."""

    def rows(self) -> list[dict[str, Any]]:
        """The records, for programs."""
        return [dict(record) for record in self.records]

    @property
    def headings(self) -> tuple[str, ...]:
        """The heading of each column."""
        return tuple(column.heading for column in self.columns)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows under `headings`, formatted for people. Names are as they are: escape them where shown."""
        return [tuple(column.cell(record) for column in self.columns) for record in self.records]

    def table(self) -> rich.table.Table:
        """A rich table with the notes under it. Names are text, never markup."""
        from rich.text import Text

        out = tables.rich_rows(self.headings, self.cells(), self._left, title=self.title)
        if self.notes:
            out.caption = Text("\n".join(f"- {text.printable(note)}" for note in self.notes), style="dim")
        return out

    def markdown(self) -> str:
        """A table in GitHub's Markdown under its title in bold, with the notes as a list."""
        rules = ["---" if column.left else "---:" for column in self.columns]
        body = [[_escaped(cell) for cell in row] for row in (self.headings, *self.cells())]
        lines = [f"**{_escaped(self.title)}**", ""]
        lines += [f"| {' | '.join(row)} |" for row in (body[0], rules, *body[1:])]
        if self.notes:
            lines += ["", *(f"- {_escaped(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the records under their keys, atomically. None and NaN are empty cells.

        Names are written as they are, also those that a spreadsheet would run as a formula (``=...``).
        """
        with (
            storage.atomic(path) as temporary,
            open(temporary, "w", encoding="utf-8", errors="replace", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(self.records[0] if self.records else ())
            writer.writerows(map(_blank_nan, record.values()) for record in self.records)

    def to_dict(self) -> dict[str, Any]:
        """The sheet ready for JSON: what is NaN or infinite is None."""
        body = {"name": self.name, "title": self.title, "rows": self.records, "notes": self.notes}
        out: dict[str, Any] = tables.json_ready(body)
        return out

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the records.

        Raises:
            ImportError: pandas is not installed.
        """
        frame: pandas.DataFrame = tables.import_pandas().DataFrame(self.rows())
        return frame

    def page(self) -> pages.Table:
        """The table as part of an HTML page."""
        from .pages import Table

        reading = " ".join(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in self.notes)
        return Table(self.title, reading, self.headings, self.cells(), self._left)

    def __str__(self) -> str:
        lines = tables.align([self.headings, *self.cells()], left=self._left)
        return "\n".join([self.title, "", *lines, *(f"- {note}" for note in self.notes)])

    @property
    def _left(self) -> int:
        return sum(column.left for column in self.columns)


def _blank_nan(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _escaped(content: str) -> str:
    """Text on one line that Markdown shows as it is. An underscore inside a word is harmless."""
    return re.sub(r"[\\|`*\[\]<>$~&]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text.printable(content))
