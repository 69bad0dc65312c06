"""NNU per model, with accuracy as colour."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .. import text
from . import bars, style


def plot_nnu(nnu: Mapping[str, float], accuracy: Mapping[str, float] | None = None) -> Figure:
    """Bars of each model's NNU in the order given, coloured by accuracy; models without one are grey.

    Args:
        nnu: dead / units by model.
        accuracy: accuracies, as shares or percentages alike, for some or all of the models.

    Raises:
        ValueError: `nnu` is empty.
    """
    if not nnu:
        raise ValueError("nnu: expected at least one model, got none")
    known = {model: value for model, value in (accuracy or {}).items() if model in nnu}
    figure = style.new_figure(6.5 + style.name_room(list(nnu)), bars.height(2 * len(nnu), 1.2))
    axes = figure.subplots()
    shading = _shading(list(known.values()))
    shades = dict(zip(known, shading.to_rgba(np.array(list(known.values()))), strict=True))
    colors = [shades.get(model, to_rgba(style.MISSING)) for model in nnu]
    labels = [
        text.percent(value) + (f"   accuracy {known[model]:.4g}" if model in known else "")
        for model, value in nnu.items()
    ]
    container = bars.draw(axes, list(nnu.values()), labels, color=colors, edgecolor="0.25", linewidth=0.6)
    for bar, model in zip(container, nnu, strict=True):
        if model not in known:
            bar.set_hatch("///")
    style.name_ticks(axes, list(nnu))
    bars.limits(axes, list(nnu.values()), room=0.45, least=1e-9)
    style.percent_axis(axes.xaxis)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("NNU: dead units / units (lower is better)", fontsize=9)
    if known:
        bar = figure.colorbar(shading, ax=axes, pad=0.02, aspect=15)
        bar.set_label("accuracy", fontsize=9)
        bar.ax.tick_params(labelsize=8)
        if len(known) < len(nnu):
            grey = Patch(facecolor=style.MISSING, edgecolor="0.25", hatch="///", label="no accuracy given")
            figure.legend(handles=[grey], fontsize=8, frameon=False, loc="outside lower right")
    style.title(axes, "Neural network utilization")
    return figure


def _shading(accuracies: list[float]) -> ScalarMappable:
    low, high = min(accuracies, default=0.0), max(accuracies, default=1.0)
    if low == high:  # one colour needs a range around it
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), matplotlib.colormaps["cividis"])
