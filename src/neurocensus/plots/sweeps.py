"""Sweeps: every measure over the swept value, networks side by side, and NNU against accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import text
from ..assessment.relations import readable
from ..sweeps.lines import Floats, best_fit
from ..sweeps.records import (
    LEARNING_RATE,
    MEASURES,
    PARTS,
    PartName,
    check_part,
    correlation,
    measure_title,
    split_measure,
    sweep_title,
)
from . import scatter, style

if TYPE_CHECKING:
    from ..sweeps.table import SweepTable

COLORS: Final[dict[PartName, str]] = {"train": "#d07c00", "test": "#2a6f97"}
"""The training and the test set, told apart by shape too."""
MARKERS: Final[dict[PartName, str]] = {"train": "o", "test": "^"}
PAGE: Final = (11.7, 8.3)
"""Inches: a landscape A4 page."""
NETWORKS: Final = 12
"""So many are compared side by side at most."""


def plot_sweep(table: SweepTable) -> Figure:
    """A page of one sweep of one network: ten metrics and NNU over the swept value, and accuracy over NNU.

    Training and test set have a line of best fit each, with Pearson's r above the panel. Learning rates are
    on a log axis, and fitted by their logarithms. Hollow points are networks that give all examples one
    class; what diverged has a cross on the axis.

    Args:
        table: records of one network and one sweep, such as ``table.of("cat", "hidden1")``.

    Raises:
        ValueError: no records, or of several networks or sweeps.
    """
    if len(table.networks) != 1 or len(table.sweeps) != 1:
        raise ValueError(
            f"table: expected records of one network and one sweep, got {len(table)} of "
            f"{text.plural(len(table.networks), 'network')} and {text.plural(len(table.sweeps), 'sweep')}; "
            "choose with table.of(network, sweep)"
        )
    sweep = table.sweeps[0]
    figure = style.new_figure(*PAGE)
    panels = list(figure.subplots(3, 4).flat)
    values = table.column("value")
    for axes in panels[1:-1]:  # else one whose measure is not defined everywhere would have its own limits
        axes.sharex(panels[0])
    for axes, measure in zip(panels, MEASURES, strict=False):
        _both_parts(axes, table, "value", measure, log=sweep == LEARNING_RATE)
        _title(axes, readable(measure))
        scatter.crosses(axes, values[table.diverged])
        _value_axis(axes, sweep)
    _both_parts(panels[-1], table, "nnu", "accuracy")
    _title(panels[-1], "accuracy over NNU")
    panels[-1].set_xlabel("NNU", fontsize=8)
    style.percent_axis(panels[-1].xaxis)
    scatter.finish(panels)
    network = style.display_name(table.networks[0])
    heading = f"{network}: {style.display_name(sweep_title(sweep))}, {text.plural(len(table), 'network')}"
    style.plain(figure.suptitle(heading, x=0.01, ha="left", fontsize=12))
    marks = *_hollow(table, *COLORS), _several("train"), *_diverged(table)
    _legend(figure, *_parts(*COLORS), _fit("0.4"), *marks)
    return figure


def plot_networks(table: SweepTable, measure: str = "test_accuracy") -> Figure:
    """One measure over the swept value: a column per network, a row per sweep.

    As figures 4.2 and 7 of the thesis. All panels share the measure's axis, those of a row the swept value's.

    Args:
        table: records of any networks and sweeps. Of more than `NETWORKS` networks the first are drawn.
        measure: "train_" or "test_" and one of `neurocensus.sweeps.records.MEASURES`.

    Raises:
        ValueError: no records, or another measure.
    """
    part, _ = split_measure(measure)
    figure, panels = _grid(table)
    panels[0][0].set_ylim(scatter.limits(table.column(measure)))
    for axes, cell, sweep in _cells(table, panels):
        x, y = cell.column("value"), cell.column(measure)
        log = sweep == LEARNING_RATE
        scatter.points(axes, x, y, COLORS[part], marker=MARKERS[part], hollow=cell.one_class(part), size=14)
        scatter.line(axes, x, y, log=log)
        scatter.crosses(axes, x[cell.diverged])
        _value_axis(axes, sweep)
        _say_r(axes, cell, x, y, log=log)
    for row in panels:
        row[0].set_ylabel(measure_title(measure), fontsize=9)
    _legend(figure, *_parts(part), _fit(scatter.FIT), *_hollow(table, part), *_diverged(table))
    return figure


def plot_nnu_accuracy(table: SweepTable, part: PartName = "test") -> Figure:
    """Accuracy over NNU: a column per network, a row per sweep.

    As figures 4.5 and 8 of the thesis. All panels share the accuracy's axis, those of a row NNU's. Points are
    coloured by the swept value; several networks in one place are one larger point, coloured as the first.

    Args:
        table: records of any networks and sweeps. Of more than `NETWORKS` networks the first are drawn.
        part: "train" or "test", whose accuracy and NNU.

    Raises:
        ValueError: no records, or another part.
    """
    check_part(part)
    figure, panels = _grid(table)
    keys = f"{part}_nnu", f"{part}_accuracy"
    panels[0][0].set_ylim(scatter.limits(table.column(keys[1])))
    shades = {sweep: _shades(table.of(sweep=sweep)) for sweep in table.sweeps}
    for axes, cell, sweep in _cells(table, panels):
        x, y = cell.column(keys[0]), cell.column(keys[1])
        colors = shades[sweep].to_rgba(cell.column("value"))
        scatter.points(axes, x, y, colors, marker=MARKERS[part], hollow=cell.one_class(part), size=18)
        scatter.line(axes, x, y)
        _say_r(axes, cell, x, y)
        style.percent_axis(axes.xaxis)
        axes.set_xlabel(measure_title(keys[0]), fontsize=8)
    for row, sweep in zip(panels, table.sweeps, strict=True):
        row[0].set_ylabel(measure_title(keys[1]), fontsize=9)
        bar = figure.colorbar(shades[sweep], ax=list(row), pad=0.01, aspect=18)
        bar.set_label(style.display_name(sweep_title(sweep), 26), fontsize=9)
        bar.ax.tick_params(labelsize=8)
        style.plain(bar.ax.yaxis.label)
        _ticks(bar.ax.yaxis, sweep)
    _legend(figure, _several(part), _fit(scatter.FIT), *_hollow(table, part))
    return figure


def _both_parts(axes: Axes, table: SweepTable, x_key: str, measure: str, *, log: bool = False) -> None:
    """Training and test set over "value", or over a measure of the same part; their r above the panel."""
    columns = []
    for place, (part, color) in enumerate(COLORS.items()):
        x = table.column(x_key if x_key == "value" else f"{part}_{x_key}")
        y = table.column(f"{part}_{measure}")
        scatter.points(axes, x, y, color, marker=MARKERS[part], hollow=table.one_class(part), size=9)
        scatter.line(axes, x, y, color, log=log)
        _above(axes, _r(x, y, log=log), 26 * (len(COLORS) - 1 - place), color)
        columns.append(y)
    _above(axes, "r", 26 * len(COLORS), "0.3")
    low, _ = scatter.limits(*columns)
    axes.set_ylim(low if low < -0.1 else -0.05, 1.05)  # all but kappa are shares


def _above(axes: Axes, content: str, left: float, color: str) -> None:
    """A short text above the panel, so many points left of its right end."""
    axes.annotate(
        content, (1, 1), (-left, 5), xycoords="axes fraction", textcoords="offset points", ha="right",
        fontsize=7.5, color=color, annotation_clip=False,
    )  # fmt: skip


def _title(axes: Axes, content: str) -> None:
    axes.set_title(content, loc="left", fontsize=9)


def _grid(table: SweepTable) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a panel for each sweep (row) and network (column), under the networks' names.

    All share the y axis, those of a row the x axis.
    """
    if not len(table):
        raise ValueError("table: expected at least one record, got none")
    networks = table.networks[:NETWORKS]
    rows, columns = len(table.sweeps), len(networks)
    width, letters = (3.2, 20) if columns < 5 else (2.4, 12)
    figure = style.new_figure(1.0 + width * columns, 0.8 + 2.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex="row", sharey=True)
    for axes, name in zip(panels[0], style.display_names(networks, letters), strict=True):
        style.title(axes, name)
    if columns < len(table.networks):
        figure.suptitle(
            f"the first {columns} of {len(table.networks)} networks", x=0.01, ha="left", fontsize=9
        )
    scatter.finish(list(panels.flat))
    return figure, panels.tolist()


def _cells(table: SweepTable, panels: Sequence[Sequence[Axes]]) -> Iterator[tuple[Axes, SweepTable, str]]:
    """Each panel with its records and its sweep. Where there are none, it says so and is left out."""
    for row, sweep in zip(panels, table.sweeps, strict=True):
        for axes, network in zip(row, table.networks, strict=False):
            cell = table.of(network, sweep)
            if len(cell):
                yield axes, cell, sweep
            else:
                axes.text(
                    0.5, 0.5, "not swept", ha="center", transform=axes.transAxes, fontsize=8, color="0.4"
                )


def _say_r(axes: Axes, cell: SweepTable, x: Floats, y: Floats, *, log: bool = False) -> None:
    """Pearson's r above the panel, and how many diverged."""
    diverged = int(cell.diverged.sum())
    _above(axes, f"r {_r(x, y, log=log)}" + (f", {diverged} diverged" if diverged else ""), 0, "0.3")


def _r(x: Floats, y: Floats, *, log: bool) -> str:
    found = best_fit(x, y, log=log)
    return text.NOT_AVAILABLE if found is None else correlation(found.r)


def _value_axis(axes: Axes, sweep: str) -> None:
    if sweep == LEARNING_RATE:
        axes.set_xscale("log")
    _ticks(axes.xaxis, sweep)
    style.plain(axes.set_xlabel(style.display_name(sweep_title(sweep), 34), fontsize=8))


def _ticks(axis: Axis, sweep: str) -> None:
    if sweep == LEARNING_RATE:
        scatter.decades(axis)
    else:
        scatter.whole_numbers(axis)


def _shades(table: SweepTable) -> ScalarMappable:
    """Colours for the values of one sweep."""
    low, high = float(table.column("value").min()), float(table.column("value").max())
    if table.sweeps == (LEARNING_RATE,):
        norm: Normalize = LogNorm(low, high) if low < high else LogNorm(low / 2, low * 2)
    else:
        norm = Normalize(low, high) if low < high else Normalize(low - 1, low + 1)
    return ScalarMappable(norm, style.depth_colormap())


def _legend(figure: Figure, *marks: Line2D) -> None:
    """What the marks are, below: in one row if there is room."""
    widths = [0.085 * len(str(mark.get_label())) + 0.1 for mark in marks]
    room = figure.get_figwidth()
    columns = len(marks) if sum(widths) < room else max(1, int(room // max(widths)))
    figure.legend(handles=marks, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


def _mark(label: str, marker: str, color: str = "0.3", **style_of_mark: Any) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, color=color, label=label, **{"markersize": 4.5, **style_of_mark}
    )


def _parts(*parts: PartName) -> list[Line2D]:
    return [_mark(f"{PARTS[part]} set", MARKERS[part], COLORS[part]) for part in parts]


def _fit(color: str) -> Line2D:
    return Line2D([], [], color=color, linewidth=1.4, label="line of best fit")


def _several(part: PartName) -> Line2D:
    return _mark("larger: several networks in one place", MARKERS[part], markersize=7)


def _hollow(table: SweepTable, *parts: PartName) -> list[Line2D]:
    if not any(table.one_class(part).any() for part in parts):
        return []
    return [_mark("hollow: gives all examples one class", MARKERS[parts[0]], markerfacecolor="none")]


def _diverged(table: SweepTable) -> list[Line2D]:
    return [_mark("diverged", "x", "0.15")] if table.diverged.any() else []
