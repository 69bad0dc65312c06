"""NNU and the death of layers over a training, from the rows of a `neurocensus.callbacks.Monitor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .. import text
from . import style

MODES: Final[Mapping[str, str]] = {"train": "training", "eval": "validation"}
COLORS: Final[Mapping[str, str]] = {"train": "#3b528b", "eval": "#21918c"}
WIDTH: Final = 7.5
"""Inches of the steps."""
LINE: Final = 2.0
"""Inches of the curves."""
LAYERS: Final = 60
"""Layers of a map."""
ROW: Final = 0.17
"""Inches of a layer."""
ALIVE: Final = "#e6ebe2"
RING: Final[Mapping[str, Any]] = {
    "marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgecolor": "0.1",
    "markeredgewidth": 0.9,
}  # fmt: skip


def plot_rows(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """NNU by step, and below a map for each mode: layers down, steps across, the dead share as colour.

    A ring is where a warning was given. Steps of which nothing is known stay white.

    Args:
        rows: at least one, as `neurocensus.callbacks.read_monitor` gives them.
    """
    shown = {mode: found for mode in MODES if (found := _by_step(rows, mode))}
    layers = {mode: _layers(found) for mode, found in shown.items()}
    heights = [max(ROW * len(names), 0.9) for names in layers.values()]
    room = max(style.name_room(names) for names in layers.values())
    figure = style.new_figure(WIDTH + 1.2 + room, LINE + 0.8 + sum(heights) + 0.5 * len(heights))
    curves, *maps = figure.subplots(1 + len(shown), 1, sharex=True, height_ratios=[LINE, *heights])
    _draw_curves(curves, shown)
    for axes, (mode, found) in zip(maps, shown.items(), strict=True):
        _draw_map(axes, found, layers[mode])
        every = len({name for row in found for name in row["layers"]})
        cut = f" (the {LAYERS} of {text.count(every)} with the most)" if every > LAYERS else ""
        style.title(axes, f"Dead units of each layer in {MODES[mode]}{cut}")
    first, last = min(row["first_step"] for row in rows), max(row["step"] for row in rows)
    if first < last:
        maps[-1].set_xlim(first, last)
    maps[-1].set_xlabel("optimizer steps", fontsize=9)
    maps[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    maps[-1].xaxis.set_major_formatter(FuncFormatter(lambda step, _: text.count(round(step))))
    if any(row["warnings"] for found in shown.values() for row in found):
        ring = Line2D([], [], linestyle="", label="a warning was given", **RING)
        figure.legend(handles=[ring], fontsize=8, frameon=False, loc="outside lower right")
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _colors()), ax=maps, pad=0.02, aspect=sum(heights) / 0.16
    )
    bar.set_label("dead units", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    style.percent_axis(bar.ax.yaxis)
    return figure


def _by_step(rows: Sequence[Mapping[str, Any]], mode: str) -> list[Mapping[str, Any]]:
    """The rows of a mode in order; of several at one step (more than one validation set) the last."""
    found = {row["step"]: row for row in rows if row["mode"] == mode}
    return [found[step] for step in sorted(found)]


def _layers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The layers to draw, in network order: of more than `LAYERS` those whose dead share was largest."""
    most: dict[str, float] = {}
    for row in rows:
        for name, layer in row["layers"].items():
            most[name] = max(most.get(name, 0.0), layer["nnu"])
    chosen = set(sorted(most, key=most.__getitem__, reverse=True)[:LAYERS])
    return [name for name in most if name in chosen]


def _draw_curves(axes: Axes, shown: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for mode, rows in shown.items():
        few = len(rows) < 40  # one row alone has no line
        axes.plot(
            [row["step"] for row in rows], [row["nnu"] for row in rows], color=COLORS[mode], linewidth=1.4,
            marker="o" if few else None, markersize=3, linestyle="-" if mode == "train" else "--",
            label=MODES[mode], clip_on=False,
        )  # fmt: skip
    model = next((row.get("model") for rows in shown.values() for row in rows), None)
    name = f": {style.display_name(model)}" if isinstance(model, str) and model else ""
    style.title(axes, f"Neural network utilization{name}")
    axes.set_ylabel("NNU: dead units / units", fontsize=9)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1e-6))
    style.percent_axis(axes.yaxis)
    axes.tick_params(labelsize=8)
    style.tidy(axes)
    if len(shown) > 1:
        axes.legend(fontsize=8, frameon=False)


def _draw_map(axes: Axes, rows: Sequence[Mapping[str, Any]], layers: Sequence[str]) -> None:
    edges, columns = _columns(rows)
    shares = np.full((len(layers), len(columns)), np.nan)
    place = {name: index for index, name in enumerate(layers)}
    for column, row in enumerate(columns):
        for name, layer in (row["layers"] if row else {}).items():
            if name in place and layer["unseen"] < layer["units"]:
                shares[place[name], column] = layer["nnu"]
    heights = np.arange(len(layers) + 1) - 0.5
    axes.pcolormesh(
        edges, heights, np.ma.masked_invalid(shares), cmap=_colors(), vmin=0, vmax=1, rasterized=True
    )
    style.name_ticks(axes, layers)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[:].set_visible(False)
    warned = [
        ((edges[column] + edges[column + 1]) / 2, place[alarm["layer"]])
        for column, row in enumerate(columns)
        for alarm in (row["warnings"] if row else ())
        if alarm.get("layer") in place
    ]
    if warned:
        axes.plot(*zip(*warned, strict=True), linestyle="", clip_on=False, **RING)


def _columns(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[npt.NDArray[np.float64], list[Mapping[str, Any] | None]]:
    """The columns of a map, None where nothing is known, and their edges: one more, ascending.

    A row of training covers its steps; one of a validation reaches half-way to those beside it.
    """
    steps = np.array([row["step"] for row in rows], np.float64)
    if rows[0]["mode"] != "train":
        middles = (steps[:-1] + steps[1:]) / 2
        half = middles - steps[:-1] if len(middles) else np.array([0.5])
        return np.concatenate([[steps[0] - half[0]], middles, [steps[-1] + half[-1]]]), list(rows)
    edges: list[float] = []
    columns: list[Mapping[str, Any] | None] = []
    for row in rows:
        first = min(float(row["first_step"]), row["step"] - 0.5)
        if not edges:
            edges.append(first)
        elif first > edges[-1]:  # steps that were lost in a kill
            edges.append(first)
            columns.append(None)
        edges.append(float(row["step"]))
        columns.append(row)
    return np.array(edges), columns


def _colors() -> Colormap:
    return LinearSegmentedColormap.from_list("dead", [ALIVE, style.DEAD])
