"""The pictures of the document: on white, since a reader's page may be dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.harness import report
from benchmarks.harness.beside import Beside
from benchmarks.harness.ratios import Ratio
from neurocensus.plots import style

PANELS: Final = 3
"""Panels side by side."""
ROW: Final = 0.24
"""Inches of a bar and its air."""
MARKERS: Final = "osD^vP*Xph"


def beside(found: Beside) -> Figure:
    """One panel per workload, one bar per peer, on a logarithmic axis from 1: as fast as neurocensus."""
    rows, columns = style.grid_shape(len(found.rows), PANELS)
    names = style.name_room(found.peers)
    figure = style.new_figure(2.6 * columns + names, rows * (ROW * len(found.peers) + 0.75) + 0.4)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(found.rows) :]:
        axes.set_axis_off()
    every = [ratio for row in found.rows.values() for ratio in row.values()]
    for axes, (workload, row) in zip(panels.flat, found.rows.items(), strict=False):
        for place, peer in enumerate(found.peers):
            if peer in row:
                _bar(axes, place, row[peer], base=1.0, label=report.number(row[peer].median))
        style.title(axes, style.display_name(workload))
        style.tidy(axes)
        axes.set_xscale("log")
        axes.axvline(1, color="0.3", linewidth=0.8)
        style.name_ticks(axes, found.peers)
    panels.flat[0].set_xlim(0.7 * min([1.0, *(r.low for r in every)]), 4 * max(2.0, *(r.high for r in every)))
    for axes in panels.flat:
        _plain_numbers(axes.xaxis)
    figure.supxlabel("times faster than the peer (bars: medians; lines: lowest to highest round)", fontsize=9)
    return figure


def shares(found: Mapping[str, Mapping[str, Ratio]], label: str, target: float | None = None) -> Figure:
    """Bars from 0, several for each name: by what differs, in the colours of a legend.

    Args:
        found: ratios by kind, then by name; every kind has the same names, or some of them.
        label: of the axis of ratios.
        target: drawn as a line.
    """
    names = report.unique(name for of_kind in found.values() for name in of_kind)
    colors = style.depth_colors(len(found) + 2)[1:-1]  # a line is seen on these
    figure = style.new_figure(6.0 + style.name_room(names), ROW * len(names) * len(found) + 1.0)
    axes = figure.subplots()
    thick = 0.8 / len(found)
    for index, (kind, of_kind) in enumerate(found.items()):
        for place, name in enumerate(names):
            if name in of_kind:
                at = place + (index - (len(found) - 1) / 2) * thick
                _bar(
                    axes, at, of_kind[name], base=0.0, color=colors[index], height=0.86 * thick,
                    label=report.number(of_kind[name].median), name=kind,
                )  # fmt: skip
    if target is not None:
        axes.axvline(target, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
    style.name_ticks(axes, names)
    style.tidy(axes)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(0, 1.15 * max(ratio.high for of_kind in found.values() for ratio in of_kind.values()))
    axes.set_xlabel(label, fontsize=9)
    _legend(axes)
    return figure


def growth(series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str) -> Figure:
    """A line with points for each name, both axes logarithmic; the legend has them highest first.

    Args:
        series: points (x, y) by name, in order. An audit's are drawn strongest, the plain forward's faintest.
        x_label: of the axis of what grows, with a tick at each x.
        y_label: of the other.
    """
    figure = style.new_figure(8.0, 4.2)
    axes = figure.subplots()
    colors = style.depth_colors(len(series))
    ordered = sorted(series.items(), key=lambda item: -item[1][-1][1])
    for color, marker, (name, points) in zip(colors, cycle(MARKERS), ordered, strict=False):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, marker=marker, label=style.display_name(name), **_line(name, color))
    axes.set_xscale("log", base=2)
    ticks = sorted({x for points in series.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks], fontsize=8)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis)
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_ylabel(y_label, fontsize=9)
    style.tidy(axes)
    if len(series) > 1:
        _legend(axes)
    return figure


def _bar(
    axes: Axes,
    at: float,
    ratio: Ratio,
    *,
    base: float,
    label: str,
    color: Any = None,
    height: float = 0.72,
    name: str | None = None,
) -> None:
    """From `base` to the median, with a line over the range of the rounds and the number behind it."""
    worse = base > 0 and ratio.median < base
    if color is None:
        color = style.DEAD if worse else style.depth_colors(1)[0]
    labelled = name is not None and name not in axes.get_legend_handles_labels()[1]
    axes.barh(
        at, ratio.median - base, left=base, height=height, color=color, label=name if labelled else None
    )
    axes.plot([ratio.low, ratio.high], [at, at], color="0.15", linewidth=0.9)
    style.plain(
        axes.annotate(
            label,
            (max(ratio.high, base), at),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            annotation_clip=False,
        )
    )


def _line(name: str, color: Any) -> dict[str, Any]:
    if name.startswith("audit"):
        return {"color": "0.1", "linewidth": 2.4, "markersize": 6, "zorder": 4}
    if name == "plain forward":
        return {"color": style.MISSING, "linewidth": 1.2, "markersize": 4, "linestyle": (0, (4, 3))}
    return {"color": color, "linewidth": 1.4, "markersize": 5}


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        legend = axes.figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        style.plain(*legend.get_texts())


def _plain_numbers(axis: Axis) -> None:
    """1,000 and not 10 to the third, on a logarithmic axis; 2 and 5 as well where it is short."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high < 200 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_tick_params(labelsize=8)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())
