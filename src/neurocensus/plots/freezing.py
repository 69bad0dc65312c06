"""Which frozen layers give what: a row per subset, in the manner of an UpSet plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import text
from ..sweeps.freezing import Effect, effects, subsets
from ..sweeps.records import PARTS, PartName, Record, one_class, points, share
from . import style
from .sweeps import COLORS

LIMIT: Final = 128
"""So many subsets have a row: all those of seven layers."""
ROW: Final = 0.165
"""Inches of a row."""
COLUMN: Final = 0.36
"""Inches of a layer."""
STRIP: Final = 1.0
"""Inches of the bars above the dots."""
FROZEN: Final = "0.15"
TRAINED: Final = "0.84"


def plot_freezing(records: Iterable[Record], part: PartName = "test") -> Figure:
    """Every subset of frozen layers, the best on top: dots for its layers, bars for accuracy and NNU.

    A dark dot is a layer that was frozen, a pale one a layer that was trained. The mark on a bar is the
    accuracy on the other part, the dotted lines are the network with nothing frozen. Above the dots is by how
    much freezing each layer changes the accuracy: the mean over the pairs of subsets that differ in it alone.

    Source: the layout is that of Lex et al., "UpSet: visualization of intersecting sets", IEEE TVCG 20, 2014.

    Args:
        records: as for `neurocensus.sweeps.freezing.subsets`. Of more than `LIMIT` the best and the worst are
            drawn.
        part: "train" or "test", whose accuracy and NNU.

    Raises:
        TypeError, ValueError: as `neurocensus.sweeps.freezing.subsets`.
    """
    known = subsets(records, part)
    shown = known if len(known) <= LIMIT else known[: LIMIT // 2] + known[-(LIMIT // 2) :]
    layers: Sequence[str] = known[0]["layers"]
    names = style.display_names(layers, 24)

    dots, rows = COLUMN * max(len(layers), 3), ROW * max(len(shown), 4)
    figure = style.new_figure(dots + 6.6, rows + STRIP + style.CHARACTER * max(map(len, names)) + 1.5)
    panels = figure.subplots(2, 3, sharex="col", width_ratios=[dots, 3.4, 2.4], height_ratios=[STRIP, rows])
    (changes, key, empty), (matrix, accuracy, nnu) = panels
    _draw_changes(changes, effects(known, part), COLORS[part])
    _draw_dots(matrix, shown, layers, names)
    _draw_accuracy(accuracy, shown, known, part)
    _draw_nnu(nnu, shown, known, part)
    for axes in (matrix, accuracy, nnu):
        _draw_rows(axes, len(shown))
    for axes in (key, empty):
        axes.set_axis_off()
    key.legend(handles=_key(known, part), loc="center left", fontsize=8, frameon=False)
    style.plain(figure.suptitle(_heading(known, shown), x=0.01, ha="left", fontsize=12))
    return figure


def _heading(known: Sequence[Record], shown: Sequence[Record]) -> str:
    network = known[0].get("network")
    name = f"{style.display_name(network)}: " if isinstance(network, str) else ""
    count = text.plural(len(known), "subset") + " of frozen layers"
    cut = f", the best {LIMIT // 2} and the worst {LIMIT // 2} of them" if len(shown) < len(known) else ""
    return f"{name}{count}{cut}"


def _draw_changes(axes: Axes, found: Sequence[Effect], color: str) -> None:
    changes = np.array([effect.accuracy for effect in found])
    axes.bar(range(len(found)), np.nan_to_num(changes), width=0.7, color=color)
    axes.axhline(0, color="0.4", linewidth=0.8)
    for place, change in enumerate(changes.tolist()):
        below = change < 0
        axes.annotate(
            points(change), (place, 0 if math.isnan(change) else change), xytext=(0, -2 if below else 2),
            textcoords="offset points", ha="center", va="top" if below else "bottom", fontsize=7,
        )  # fmt: skip
    axes.margins(y=0.35)
    axes.tick_params(bottom=False, left=False, labelleft=False)
    axes.spines[:].set_visible(False)
    axes.set_title("mean change of accuracy\nwhen frozen, in points", loc="left", fontsize=8)


def _draw_dots(axes: Axes, shown: Sequence[Record], layers: Sequence[str], names: Sequence[str]) -> None:
    frozen = np.array([[layer in record["frozen"] for layer in layers] for record in shown])
    rows, columns = np.indices(frozen.shape)
    colors = np.where(frozen, FROZEN, TRAINED).ravel()
    axes.scatter(columns.ravel(), rows.ravel(), s=26, c=colors, linewidths=0, zorder=3)
    for row, places in enumerate(map(np.flatnonzero, frozen)):
        if len(places) > 1:
            axes.plot(places[[0, -1]], [row, row], color=FROZEN, linewidth=1.2, zorder=2)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_xticks(range(len(layers)), names, rotation=90, fontsize=8)
    style.plain(*axes.get_xticklabels())
    axes.spines[:].set_visible(False)


def _draw_accuracy(axes: Axes, shown: Sequence[Record], known: Sequence[Record], part: PartName) -> None:
    key = f"{part}_accuracy"
    _draw_bars(axes, shown, known, key, COLORS[part])
    for row, record in enumerate(shown):
        if record["diverged"] is not None:
            note = f"diverged at iteration {text.count(record['diverged'])}"
            axes.text(0.01, row, note, va="center", fontsize=7, color="0.3")
        _number(axes, row, share(record[key]))
    others = [record[f"{_other(part)}_accuracy"] for record in shown]
    axes.plot(others, range(len(shown)), "|", color=COLORS[_other(part)], markersize=7, markeredgewidth=1.6)
    axes.set_xlim(0, 1)
    style.title(axes, f"{PARTS[part]} accuracy")


def _draw_nnu(axes: Axes, shown: Sequence[Record], known: Sequence[Record], part: PartName) -> None:
    key = f"{part}_nnu"
    _draw_bars(axes, shown, known, key, style.DEAD)
    for row, record in enumerate(shown):
        _number(axes, row, text.percent(record[key]))
    largest = max((record[key] for record in known if not math.isnan(record[key])), default=0.0)
    axes.set_xlim(0, 1.05 * largest or 0.01)
    style.percent_axis(axes.xaxis)
    style.title(axes, f"{PARTS[part]} NNU")


def _draw_bars(axes: Axes, shown: Sequence[Record], known: Sequence[Record], key: str, color: str) -> None:
    """A bar per row, as an outline where all examples get one class; a dotted line for nothing frozen."""
    part: PartName = "train" if key.startswith("train") else "test"
    lengths = np.nan_to_num([record[key] for record in shown])
    faces = ["none" if one_class(record, part) else color for record in shown]
    axes.barh(range(len(shown)), lengths, height=0.64, color=faces, edgecolor=color, linewidth=0.7)
    for record in _unfrozen(known, part):
        axes.axvline(record[key], color="0.2", linewidth=0.9, linestyle=":", zorder=3)
    axes.grid(axis="x", color="0.5", alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=8)
    style.tidy(axes)


def _number(axes: Axes, row: int, content: str) -> None:
    """A number right of the axes: on the bar it would meet the marks."""
    axes.annotate(
        content, (1, row), xytext=(34, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        ha="right", va="center", fontsize=7, annotation_clip=False,
    )  # fmt: skip


def _draw_rows(axes: Axes, rows: int) -> None:
    """The first row on top, every other one shaded."""
    for row in range(0, rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color="0.96", zorder=0, linewidth=0)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks([])


def _key(known: Sequence[Record], part: PartName) -> list[Line2D | Patch]:
    marks: list[Line2D | Patch] = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=FROZEN, label="frozen"),
        Line2D([], [], linestyle="", marker="o", markersize=5, color=TRAINED, label="trained"),
        Line2D(
            [], [], linestyle="", marker="|", markersize=7, markeredgewidth=1.6, color=COLORS[_other(part)],
            label=f"{PARTS[_other(part)]} accuracy",
        ),
    ]  # fmt: skip
    if _unfrozen(known, part):
        marks.append(Line2D([], [], color="0.2", linewidth=0.9, linestyle=":", label="nothing frozen"))
    if any(one_class(record, part) for record in known):
        marks.append(
            Patch(facecolor="none", edgecolor=COLORS[part], label="hollow: gives all examples one class")
        )
    return marks


def _unfrozen(known: Sequence[Record], part: PartName) -> list[Record]:
    """The record of nothing frozen, if there is one that did not diverge."""
    return [record for record in known if not record["frozen"] and not math.isnan(record[f"{part}_accuracy"])]


def _other(part: PartName) -> PartName:
    return "test" if part == "train" else "train"
