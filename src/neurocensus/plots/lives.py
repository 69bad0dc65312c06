"""When the units of each layer were dead, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .. import text
from . import style

if TYPE_CHECKING:
    from ..explain.lives import Lives, Status

COLORS: Final[Mapping[Status, str]] = {
    "alive": "#dfe5da", "revived": "#3b8ea5", "died": style.DEAD, "born dead": "#2b2b2b",
}  # fmt: skip
"""Of a dead unit, by what became of it; "alive": of one that is not dead. In the order of a sorted layer."""
LAYERS: Final = 24
"""Layers of a figure."""
NAMED: Final = 30
"""Up to so many units of a layer stand in their own order, with their numbers."""
STEPS: Final = 12
"""Steps that are named, or fewer where their names are long."""
WIDTH: Final = 7.0  # inches, of a map
ROW: Final = 0.15  # inches, of a unit with its number
CROWDS: Final = 20.0  # inches, of all layers with more units than that
LEAST, MOST = 1.0, 2.4  # inches, of each of these
TITLE: Final = 0.4  # inches


def plot_lives(lives: Mapping[str, Lives]) -> Figure:
    """A map per layer: steps across, units down, coloured where the unit was dead by what became of it.

    Layers of up to 30 units have them in their order. In larger ones they are sorted: alive all along,
    revived, died (the longest lives first), born dead.

    Args:
        lives: by layer: of `neurocensus.explain.Responses.lives` or `neurocensus.explain.lives_of`. The first
            24 layers are drawn, with a note where there are more.

    Raises:
        ValueError: there is no layer.
    """
    if not lives:
        raise ValueError("lives: expected at least one layer, got none")
    shown = dict(list(lives.items())[:LAYERS])
    crowd = min(max(CROWDS / len(shown), LEAST), MOST)
    heights = [max(0.4, ROW * layer.units if layer.units <= NAMED else crowd) for layer in shown.values()]
    figure = style.new_figure(WIDTH + 0.5, 1.1 + sum(height + TITLE for height in heights))
    panels = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    alike = len({tuple(layer.steps) for layer in shown.values()}) == 1
    for axes, title, layer in zip(panels, style.display_names(list(shown)), shown.values(), strict=True):
        _draw(axes, layer)
        counts = [f"{text.count(number)} {status}" for status, number in layer.counts().items() if number]
        style.title(axes, f"{title}: {', '.join(counts)}")
        if alike and axes is not panels[-1]:
            axes.tick_params(axis="x", length=0, labelbottom=False)
    note = f" (the first {LAYERS} of {text.count(len(lives))} layers)" if len(lives) > LAYERS else ""
    panels[-1].set_xlabel(f"step of the training, a column for each record{note}", fontsize=9)
    names = {status: "alive" if status == "alive" else f"dead ({status})" for status in COLORS}
    handles = [Patch(color=color, label=names[status]) for status, color in COLORS.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8, frameon=False)
    return figure


def _draw(axes: Axes, layer: Lives) -> None:
    named = layer.units <= NAMED
    order = np.arange(layer.units) if named else _by_life(layer)
    # A sorted crowd may be shown with fewer pixels than units: they are averaged.
    axes.imshow(_pixels(layer, order), aspect="auto", interpolation="nearest" if named else "antialiased")
    if named:
        axes.set_yticks(order, [str(unit) for unit in order], fontsize=7)
        axes.hlines(order[1:] - 0.5, -0.5, len(layer.steps) - 0.5, color="white", linewidth=0.7)
        axes.set_ylabel("unit", fontsize=8)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{text.count(layer.units)} units, sorted", fontsize=8)
    names = [text.count(step) for step in layer.steps.tolist()]
    room = int(WIDTH / (style.CHARACTER * (max(map(len, names)) + 3)))
    marks = style.every_nth(len(names), min(STEPS, room))
    axes.set_xticks(list(marks), [names[mark] for mark in marks], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _by_life(layer: Lives) -> npt.NDArray[np.int64]:
    """The units, alive ones first, of each kind those that were dead least first."""
    from ..explain.lives import STATUSES

    rank = np.array([list(COLORS).index(status) for status in STATUSES])[layer.statuses]
    order: npt.NDArray[np.int64] = np.lexsort((layer.dead.sum(axis=0), rank))
    return order


def _pixels(layer: Lives, order: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """RGB in [0, 1], shape (units, steps, 3)."""
    from ..explain.lives import STATUSES

    colors = np.array([to_rgb(COLORS[status]) for status in STATUSES])
    dead = layer.dead.T[order]
    return np.where(dead[:, :, None], colors[layer.statuses[order]][:, None], to_rgb(COLORS["alive"]))
