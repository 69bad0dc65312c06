"""ROC curves of models on shared axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from . import style

if TYPE_CHECKING:
    from ..assessment import Roc

LINES: Final = ("-", "--", "-.", ":")
CORNER: Final = 0.2
"""Side of the square at the upper left that good models need a second look at."""
GOOD: Final = 0.9
"""Area from which on a curve needs it."""


def plot_roc(curves: Mapping[str, Roc]) -> Figure:
    """True over false positive rate, a line per model; the diagonal is guessing.

    Where a model is good, a second panel shows the upper left corner, in which such curves differ.

    Args:
        curves: ROC curves by the models' names; one without points is in the legend only.

    Raises:
        ValueError: `curves` is empty.
    """
    if not curves:
        raise ValueError("curves: expected at least one model, got none")
    close = any(curve.auc > GOOD for curve in curves.values())
    names = style.display_names(list(curves), 28)
    labels = [_label(name, curve) for name, curve in zip(names, curves.values(), strict=True)]
    key = 0.7 + style.CHARACTER * max(map(len, labels))
    figure = style.new_figure((9.6 if close else 4.8) + key, 4.6)
    panels = figure.subplots(1, 2 if close else 1, squeeze=False)[0]
    for axes, side in zip(panels, (1.0, CORNER), strict=False):
        lines = _draw(axes, curves, side)
    legend = figure.legend(lines, labels, loc="outside right upper", fontsize=8, frameon=False)
    style.plain(*legend.get_texts())
    style.title(panels[0], "ROC")
    if close:
        style.title(panels[1], "the upper left corner")
    return figure


def _draw(axes: Axes, curves: Mapping[str, Roc], side: float) -> list[Line2D]:
    lines = []
    colors = style.depth_colors(len(curves))
    for curve, color, dashes in zip(curves.values(), colors, itertools.cycle(LINES), strict=False):
        lines += axes.plot(curve.fpr, curve.tpr, color=color, linestyle=dashes, linewidth=1.6)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
    air = 0.02 * side  # a curve along the edge shows its full width
    axes.set_xlim(-air, side + air)
    axes.set_ylim(1 - side - air, 1 + air)
    axes.set_aspect("equal")
    axes.xaxis.set_major_locator(MultipleLocator(side / 4))
    axes.yaxis.set_major_locator(MultipleLocator(side / 4))
    axes.set_xlabel("false positive rate", fontsize=9)
    axes.set_ylabel("true positive rate", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="0.5", alpha=0.2, linewidth=0.6)
    style.tidy(axes)
    return lines


def _label(name: str, curve: Roc) -> str:
    return f"{name}   " + ("one class only" if math.isnan(curve.auc) else f"AUC {_area(curve.auc)}")


def _area(auc: float) -> str:
    """Three digits after the point, more where they would say 1."""
    return f"{auc:.3f}" if auc == 1 or auc < 0.9995 else f"{math.floor(auc * 1e5) / 1e5:.5f}"
