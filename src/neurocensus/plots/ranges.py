"""The activation range: the maximum of each layer, model beside model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from .. import text
from ..metrics import Range
from . import bars, style

COLUMNS = 5
COLUMNS_WITH_NAMES = 3
PANEL: Final = 2.7
"""Inches: a panel without its names, at least; one that stands alone has `ALONE`."""
ALONE: Final = 5.0
GAP: Final = 0.2
"""Inches between a title and what stands right of it, and between a name and its bar."""
LEAST_LETTERS: Final = 8


def plot_range(ranges: Mapping[str, Range]) -> Figure:
    """Bars of each layer's maximum, one panel per model on one scale; the dashed line is the mean.

    Layers run from top to bottom in network order. Where all models have the same layers, the names
    stand once. Layers without a maximum keep their row and say so. Names that are too wide for their place
    lose their middle.

    Args:
        ranges: the models' ranges by name.

    Raises:
        ValueError: `ranges` is empty.
    """
    if not ranges:
        raise ValueError("ranges: expected at least one model, got none")
    layers = {model: [*found.maxima, *found.left_out] for model, found in ranges.items()}
    shared = len({tuple(rows) for rows in layers.values()}) == 1
    room = style.CHARACTER * style.NAME_WIDTH
    names = {model: _fitting(rows, room, 8) for model, rows in layers.items()}
    rows, columns = style.grid_shape(len(ranges), COLUMNS if shared else COLUMNS_WITH_NAMES)
    most = max(map(len, names.values()))
    name_room = max(_widest(shown, 8) for shown in names.values()) + GAP
    notes = [f"consistency {text.real(found.consistency)}, dashed: mean" for found in ranges.values()]
    panel = max(ALONE if columns == 1 else PANEL, _widest(notes, 10) + 2 * GAP)
    titles = _fitting(list(ranges), panel - 2 * GAP, 10)
    width = name_room * (1 if shared else columns) + panel * columns
    figure = style.new_figure(width, bars.height(most) * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    everything = [peak for found in ranges.values() for peak in found.maxima.values()]

    for index, (axes, (model, found)) in enumerate(zip(panels.flat, ranges.items(), strict=False)):
        peaks = [found.maxima.get(name, np.nan) for name in layers[model]]
        labels = [
            text.real(peak) if name in found.maxima else "no finite value"
            for name, peak in zip(layers[model], peaks, strict=True)
        ]
        bars.draw(axes, peaks, labels, color=style.depth_colors(len(peaks)))
        style.name_ticks(axes, names[model], most)
        if shared and index % columns:
            axes.tick_params(labelleft=False)
        if found.maxima:
            axes.axvline(
                float(np.mean(list(found.maxima.values()))), color="0.35", linewidth=0.9, linestyle="--"
            )
        style.title(axes, f"{titles[index]}\n{notes[index]}")
        axes.set_xlabel("maximum activation", fontsize=9)
        axes.tick_params(axis="x", labelsize=8, labelbottom=True)
    for axes in list(panels.flat)[len(ranges) :]:
        axes.set_visible(False)
    bars.limits(panels[0][0], everything)
    return figure


def _fitting(names: Sequence[str], inches: float, points: float) -> list[str]:
    """The names as a picture shows them, in as many letters as fit into that width."""
    for letters in range(style.NAME_WIDTH, LEAST_LETTERS - 1, -1):
        shown = style.display_names(names, letters)
        if _widest(shown, points) <= inches:
            break
    return shown


def _widest(lines: Sequence[str], points: float) -> float:
    """Inches that the widest of these lines takes at a font size."""
    font = FontProperties(size=points)
    widths = (text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines)
    return max(widths, default=0.0) / 72  # points to inches
