"""From a run to ``docs/benchmarks.md`` and the pictures in ``docs/benchmarks/``.

The words are in ``document.md.j2``, beside this file. Its sections name the groups of benchmarks that they
are about; groups that no section names come at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2

from benchmarks.harness import beside, plots, report
from benchmarks.harness.beside import Beside
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import ROOT, Benchmark, Run
from neurocensus.storage import atomic, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PATH: Final = ROOT / "docs" / "benchmarks.md"
TEMPLATE: Final = Path(__file__).with_name("document.md.j2")
DPI: Final = 120
NOT_MEASURED: Final = "*Not measured in this run.*"

Point = tuple[float, float]


def write(run: Run, path: Path = PATH) -> list[Path]:
    """Write the page, and its pictures into a folder beside it of the same name. Returns what was written.

    Raises:
        ValueError: the run is of the short form; a peer is faster and no note says why.
    """
    if run.short:
        raise ValueError("run: expected the full form, got the short one, which times nothing")
    page = Page(run, path.stem)
    text = page.text()  # first: where a note is missing, nothing is written
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in page.figures.items():
        picture = folder / f"{name}.png"
        with atomic(picture) as temporary:
            figure.savefig(temporary, dpi=DPI, format="png", facecolor="white")
        written.append(picture)
    write_text(path, text)
    return [*written, path]


class Page:
    """The template's functions over one run."""

    def __init__(self, run: Run, folder: str) -> None:
        self.run = run
        self.figures: dict[str, Figure] = {}
        """Pictures that the text shows, by name."""
        self._folder = folder
        self._groups = report.groups(run.benchmarks)
        self._told: set[str] = set()

    def text(self) -> str:
        """The page in Markdown."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
        return (
            template.render(
                run=self.run,
                machine=_lines(report.machine(self.run)),
                targets=_lines(report.targets(self.run.benchmarks)),
                table=self.table,
                beside=self.beside,
                shares=self.shares,
                growth=self.growth,
                pivot=self.pivot,
                rest=self.rest,
            ).rstrip("\n")
            + "\n"
        )

    def table(self, group: str) -> str:
        """All benchmarks of a group, one row each."""
        members = self._take(group)
        return _lines(report.group_table(members)) if members else NOT_MEASURED

    def beside(self, group: str, name: str) -> str:
        """A group of peers: picture, how many times faster, what each computes, and why who is faster is."""
        members = self._take(group)
        if not members:
            return NOT_MEASURED
        found = Beside.of(group, members)
        parts = [
            self._picture(name, f"Times faster than each peer: {group}", plots.beside(found)),
            _lines(found.table()),
            _lines(found.notes(beside.WHY_FASTER)),
            _lines(found.peers_table()) if found.computes else "",
        ]
        return "\n\n".join(filter(None, parts))

    def shares(self, group: str, name: str, ratio: str, label: str, where: Mapping[str, object]) -> str:
        """A picture of one ratio by layout and dtype, with the histogram and without.

        Args:
            group: of the benchmarks; those that `where` does not fit are left out.
            name: of the picture.
            ratio: the name of the ratio.
            label: of its axis.
            where: values of parameters.
        """
        found: dict[str, dict[str, Ratio]] = defaultdict(dict)
        for one in self._fitting(group, where):
            if ratio in one.ratios:
                kind = "with the histogram" if one.params["histogram"] else "without the histogram"
                found[kind][f"{one.params['layout']}, {one.params['dtype']}"] = one.ratios[ratio].ratio
        return self._picture(name, label, plots.shares(found, label)) if found else ""

    def growth(
        self, group: str, name: str, along: str, figure: str, labels: Sequence[str], of: str | None = None
    ) -> str:
        """A picture of what grows along a parameter: both axes are logarithmic.

        Args:
            group: of the benchmarks.
            name: of the picture.
            along: the parameter that grows: "examples".
            figure: what is on the other axis, see `_figure`.
            labels: of both axes.
            of: the parameter that has a line for each of its values: "way". None: there is one line.
        """
        series: dict[str, list[Point]] = defaultdict(list)
        for one in self._fitting(group, {}):
            value = _figure(one, figure)
            if value is not None and value > 0:
                series[str(one.params[of]) if of else "audit"].append((float(one.params[along]), value))
        if not series:
            return ""
        drawn = plots.growth({key: sorted(points) for key, points in series.items()}, *labels)
        return self._picture(name, f"{labels[1]} against {labels[0]}", drawn)

    def pivot(self, group: str, rows: str, columns: str, figure: str) -> str:
        """One figure of a group, see `_figure`, by two parameters: of the rows, and of the columns."""
        members = self._take(group)
        if not members:
            return NOT_MEASURED
        heads = report.unique(report.spoken(columns, one.params[columns]) for one in members)
        found: dict[str, dict[str, float | None]] = defaultdict(dict)
        for one in members:
            found[str(one.params[rows])][report.spoken(columns, one.params[columns])] = _figure(one, figure)
        shown = [
            [row, *("" if (value := cells.get(head)) is None else report.number(value) for head in heads)]
            for row, cells in found.items()
        ]
        return _lines(report.table([rows, *heads], shown))

    def rest(self) -> str:
        """A section for each group that no section of the template told."""
        parts = []
        for group in self._groups:
            if group not in self._told:
                parts += [f"## {report.capital(group)}", self.table(group)]
        return "\n\n".join(parts)

    def _take(self, group: str) -> list[Benchmark]:
        self._told.add(group)
        return self._groups.get(group, [])

    def _fitting(self, group: str, where: Mapping[str, object]) -> Iterator[Benchmark]:
        for one in self._groups.get(group, []):
            if all(one.params.get(key) == value for key, value in where.items()):
                yield one

    def _picture(self, name: str, alternative: str, figure: Figure) -> str:
        self.figures[name] = figure
        return f"![{report.capital(alternative)}]({self._folder}/{name}.png)"


def _figure(one: Benchmark, name: str) -> float | None:
    """A number of a benchmark: the median of a ratio, a note, or "seconds"."""
    if name == "seconds":
        return one.seconds
    if name in one.ratios:
        return one.ratios[name].ratio.median
    value = one.notes.get(name)
    return None if value is None else float(value)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
