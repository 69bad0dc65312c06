"""Rank correlations with their intervals, a panel per measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import text
from . import bars, style

if TYPE_CHECKING:
    from ..assessment import Relation, Relations

COLUMNS: Final = 4
KNOWN: Final = "#2a6f97"
"""An interval that leaves out 0."""
OPEN: Final = "0.45"
"""One that holds 0: either sign is possible."""


def plot_relations(relations: Relations) -> Figure:
    """A point per metric at its coefficient and a bar over its interval, one panel per measure.

    Intervals that leave out 0 are dark with a full point, the others grey with an empty one. Where there is
    no coefficient, the reason stands in its place.

    Args:
        relations: made by `neurocensus.assessment.relations`.
    """
    from ..assessment.relations import readable

    metrics, measures = list(relations.metrics), list(relations.measures)
    rows, columns = style.grid_shape(len(measures), COLUMNS)
    labels = [readable(name) for name in metrics]
    height = bars.height(len(metrics), 1.3) * rows + 0.3
    figure = style.new_figure(style.name_room(labels) + 3.0 * columns, height)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for index, (axes, measure) in enumerate(zip(panels.flat, measures, strict=False)):
        _draw(axes, [relations[measure, metric] for metric in metrics])
        style.name_ticks(axes, labels)
        axes.tick_params(labelleft=index % columns == 0, labelbottom=True)
        style.title(axes, style.display_name(readable(measure)))
        axes.set_xlabel(_scale(relations), fontsize=9)
    for axes in list(panels.flat)[len(measures) :]:
        axes.set_visible(False)
    return figure


def _scale(relations: Relations) -> str:
    name = {"spearman": "Spearman's rho", "kendall": "Kendall's tau"}[relations.method]
    return f"{name}, {text.percent(relations.confidence)} interval"


def _draw(axes: Axes, pairs: Sequence[Relation]) -> None:
    axes.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    for row, pair in enumerate(pairs):
        if pair.reason:
            style.plain(
                axes.text(
                    0,
                    row,
                    pair.reason,
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="0.35",
                    bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1},
                )
            )
            continue
        color = KNOWN if pair.low > 0 or pair.high < 0 else OPEN
        axes.hlines(row, pair.low, pair.high, color=color, linewidth=2, alpha=0.6)
        face = color if color == KNOWN else axes.get_facecolor()
        axes.plot(pair.coefficient, row, "o", markersize=5, color=color, markerfacecolor=face)
    axes.set_xlim(-1.06, 1.06)
    axes.set_xticks(np.linspace(-1, 1, 5))
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.5", alpha=0.2, linewidth=0.6)
    style.tidy(axes)
