"""The activation range: the maximum of each layer, model beside model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .. import text
from ..metrics import Range
from . import bars, style

COLUMNS = 5
COLUMNS_WITH_NAMES = 3


def plot_range(ranges: Mapping[str, Range]) -> Figure:
    """Bars of each layer's maximum, one panel per model on one scale; the dashed line is the mean.

    Layers run from top to bottom in network order. Where all models have the same layers, the names
    stand once. Layers without a maximum keep their row and say so.

    Args:
        ranges: the models' ranges by name.

    Raises:
        ValueError: `ranges` is empty.
    """
    if not ranges:
        raise ValueError("ranges: expected at least one model, got none")
    names = {model: [*found.maxima, *found.left_out] for model, found in ranges.items()}
    shared = len({tuple(rows) for rows in names.values()}) == 1
    rows, columns = style.grid_shape(len(ranges), COLUMNS if shared else COLUMNS_WITH_NAMES)
    most = max(len(layers) for layers in names.values())
    name_room = max(style.name_room(layers) for layers in names.values()) * (1 if shared else columns)
    figure = style.new_figure(name_room + max(2.7 * columns, 5.0), bars.height(most) * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    everything = [peak for found in ranges.values() for peak in found.maxima.values()]

    for index, (axes, (model, found)) in enumerate(zip(panels.flat, ranges.items(), strict=False)):
        layers = names[model]
        peaks = [found.maxima.get(name, np.nan) for name in layers]
        labels = [
            text.real(peak) if name in found.maxima else "no finite value"
            for name, peak in zip(layers, peaks, strict=True)
        ]
        bars.draw(axes, peaks, labels, color=style.depth_colors(len(layers)))
        style.name_ticks(axes, layers, most)
        if shared and index % columns:
            axes.tick_params(labelleft=False)
        if found.maxima:
            axes.axvline(
                float(np.mean(list(found.maxima.values()))), color="0.35", linewidth=0.9, linestyle="--"
            )
        style.title(
            axes, f"{style.display_name(model)}\nconsistency {text.real(found.consistency)}, dashed: mean"
        )
        axes.set_xlabel("maximum activation", fontsize=9)
        axes.tick_params(axis="x", labelsize=8, labelbottom=True)
    for axes in list(panels.flat)[len(ranges) :]:
        axes.set_visible(False)
    bars.limits(panels[0][0], everything)
    return figure
