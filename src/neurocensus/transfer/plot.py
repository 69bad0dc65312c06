"""The picture of a weight shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plots import bars, style
from .shift import WeightShift

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_weight_shift(shift: WeightShift) -> Figure:
    """Bars of each layer's relative L2 distance, from the first layer on top to the last.

    The thin line goes from the 5th to the 95th percentile of the layer's units, its mark is their median.
    Weights only: biases and buffers are in `WeightShift.rows`.

    Args:
        shift: what moved.

    Raises:
        ValueError: it has no weights.
    """
    layers = shift.layers
    if not layers:
        raise ValueError("shift: expected at least one weight, got none")
    names = list(layers)
    whole = [tensor.relative_l2 for tensor in layers.values()]
    labels = ["no norm before" if np.isnan(value) else f"{value:.2%}" for value in whole]
    figure = style.new_figure(5.5 + style.name_room(names), bars.height(len(names)))
    axes = figure.subplots()
    bars.draw(axes, whole, [""] * len(names), color=style.depth_colors(len(names)))
    ends = []
    for row, (value, tensor) in enumerate(zip(whole, layers.values(), strict=True)):
        units = tensor.unit_relative_l2[np.isfinite(tensor.unit_relative_l2)]
        end = 0.0 if np.isnan(value) else value
        if len(units) > 1:
            low, middle, high = np.percentile(units, [5, 50, 95])
            axes.plot([low, high], [row, row], color="0.25", linewidth=0.9)
            axes.plot([middle], [row], color="0.1", marker="|", markersize=6)
            end = max(end, float(high))
        ends.append(end)
        if len(names) <= bars.LABEL_LIMIT:
            axes.annotate(
                labels[row], (end, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7.5
            )
    style.name_ticks(axes, names)
    bars.limits(axes, ends, room=0.25)
    style.percent_axis(axes.xaxis)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("distance moved / norm before; line: 5 % to 95 % of the units, mark: median", fontsize=9)
    style.title(axes, "Weight shift of each layer")
    return figure
