"""What the units of a layer answer to a few inputs through a training, a small panel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .. import text
from ..arguments import integer
from . import style

if TYPE_CHECKING:
    from ..explain.lives import Life
    from ..explain.responses.result import Responses

COLUMNS: Final = 5
LIMIT: Final = 60
"""Panels of a figure."""
TINT: Final = "0.92"
"""Behind flat lines."""
MARKED: Final = 12
"""Up to so many steps have a mark each."""


def plot_responses(responses: Responses, layer: str, units: Sequence[int] | None = None) -> Figure:
    """A panel per unit with a line per input over the steps; those of flat lines are grey and say so.

    All panels share their axes, so that lines can be compared.

    Args:
        responses: what was recorded.
        layer: its name.
        units: which units, in this order, up to 60; default: the first ones.

    Raises:
        TypeError, ValueError: no such layer or units.
    """
    flat, values = responses.flat(layer), responses.layers[layer]
    lives = responses.lives()[layer].lives
    shown = _chosen(units, len(lives))
    rows, columns = style.grid_shape(len(shown), COLUMNS)
    figure = style.new_figure(max(1.0 + 1.9 * columns, 5.5), 1.4 + 1.25 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for index, (axes, unit) in enumerate(zip(panels.flat, shown, strict=False)):
        _draw(axes, responses.steps, values[:, :, unit], lives[unit], bool(flat[unit]))
        axes.tick_params(labelsize=7.5, labelbottom=index + columns >= len(shown))  # below it is no other
    for axes in list(panels.flat)[len(shown) :]:
        axes.set_visible(False)
    _draw_scales(panels[0, 0], responses.steps)
    figure.supxlabel("step of the training", fontsize=9)
    figure.supylabel(f"activation ({responses.reduce})", fontsize=9)
    heading = f"{style.display_name(layer)}: {_summary(flat, values.shape)}"
    if len(shown) < len(lives):
        heading += (
            f"\n{text.count(len(shown))} of {text.plural(len(lives), 'unit')} shown; units= chooses others"
        )
    style.plain(figure.suptitle(heading, fontsize=10, x=0.01, ha="left"))
    _draw_key(figure, list(panels.flat), responses.inputs)
    return figure


def _chosen(units: Sequence[int] | None, count: int) -> list[int]:
    if units is None:
        return list(range(min(count, LIMIT)))
    chosen = [integer("units", unit) for unit in units]
    if not chosen or not all(0 <= unit < count for unit in chosen):
        raise ValueError(f"units: expected one or more of 0 to {count - 1}, got {chosen}")
    if len(chosen) > LIMIT:
        raise ValueError(f"units: expected at most {LIMIT} in one figure, got {len(chosen)}")
    return chosen


def _draw(axes: Axes, steps: npt.NDArray[Any], lines: npt.NDArray[Any], life: Life, flat: bool) -> None:
    marker = "." if len(steps) <= MARKED else None
    zero = life.status == "born dead"
    for line, color in zip(lines.T, style.depth_colors(lines.shape[1]), strict=True):
        axes.plot(
            steps, line, color=style.DEAD if zero else color, linewidth=1.2, marker=marker, markersize=4
        )
    if flat:
        axes.set_facecolor(TINT)
    style.plain(
        axes.set_title(
            f"{life.unit}{_fate(life, flat) if np.isfinite(lines).all() else '  not finite'}",
            fontsize=8,
            color=style.DEAD if zero or life.status == "died" else "0.15",
            loc="left",
            pad=2,
        )
    )
    style.tidy(axes)


def _fate(life: Life, flat: bool) -> str:
    """What to know of a unit, on these inputs, in a word or two."""
    if life.status == "born dead":
        return "  always 0"
    if life.status == "died":
        return f"  0 from {text.count(life.deaths[-1])} on"
    if life.status == "revived":
        return "  0 at times" if life.deaths else f"  0 until {text.count(life.revivals[0])}"
    return "  constant" if flat else ""


def _draw_scales(axes: Axes, steps: npt.NDArray[Any]) -> None:
    """Few ticks, as all panels share these."""
    if len(steps) == 1:
        axes.set_xticks(steps)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: text.count(round(step))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text.real(value)))


def _summary(flat: npt.NDArray[Any], shape: tuple[int, ...]) -> str:
    steps, inputs, units = shape
    if steps == 1:
        return f"{text.plural(units, 'unit')} at one step"
    on = text.plural(inputs, "input") if inputs == 1 else f"all {text.count(inputs)} inputs"
    return f"{text.count(int(flat.sum()))} of {text.plural(units, 'unit')} flat on {on} (grey)"


def _draw_key(figure: Figure, panels: list[Axes], names: Sequence[str]) -> None:
    """A legend for few inputs, else a colour bar from the first to the last."""
    if len(names) > style.LEGEND_LIMIT:
        shading = ScalarMappable(Normalize(0, len(names) - 1), style.depth_colormap())
        bar = figure.colorbar(shading, ax=panels, pad=0.01, aspect=30, fraction=0.03)
        labels = style.display_names([names[0], names[-1]], 28)
        bar.set_ticks([0, len(names) - 1], labels=labels, fontsize=8)
        style.plain(*bar.ax.get_yticklabels())
        return
    handles = [
        Line2D([], [], color=color, label=name)
        for name, color in zip(style.display_names(names, 28), style.depth_colors(len(names)), strict=True)
    ]
    legend = figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    style.plain(*legend.get_texts())
