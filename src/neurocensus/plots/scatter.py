"""Points with their line of best fit, and what such panels share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba_array
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..sweeps.lines import Floats, best_fit
from . import style

FIT: Final = "#c00020"
"""A line of best fit, where it has no other colour to keep."""


def points(
    axes: Axes, x: Floats, y: Floats, colors: Any, *, marker: str, hollow: npt.NDArray[np.bool_], size: float
) -> None:
    """A point for each pair of numbers, some as outlines. Several in one place are one of their joint area.

    Args:
        axes: to draw on.
        x, y: shape (N,); where either is NaN there is no point.
        colors: one for all, or one each; a place of several has the first one's.
        marker: as matplotlib names it.
        hollow: which are outlines, shape (N,); a place of several is one if its first is.
        size: a point's area, in square points.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    places, first, counts = np.unique(
        np.column_stack([x, y])[known], axis=0, return_index=True, return_counts=True
    )
    edges: Any = np.broadcast_to(to_rgba_array(colors), (len(x), 4))[known[first]]
    faces = np.where(hollow[known[first], None], 0.0, edges)
    axes.scatter(
        places[:, 0],
        places[:, 1],
        s=size * counts,
        marker=marker,
        facecolors=faces,
        edgecolors=edges,
        linewidths=0.7,
        clip_on=False,
        zorder=2,
    )


def line(axes: Axes, x: Floats, y: Floats, color: str = FIT, *, log: bool = False) -> None:
    """The line of best fit from the first point to the last, if there is one."""
    found = best_fit(x, y, log=log)
    if found is not None:
        known = x[np.isfinite(x) & np.isfinite(y)]
        ends = np.array([known.min(), known.max()])
        axes.plot(ends, found.at(ends), color=color, linewidth=1.4, zorder=3)


def crosses(axes: Axes, x: Floats) -> None:
    """A cross on the x axis at each value that has no point."""
    if len(x):  # an empty line that is not clipped would upset the layout
        axes.plot(
            x, np.zeros(len(x)), "x", color="0.15", markersize=4, markeredgewidth=1, clip_on=False, zorder=4,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def limits(*columns: Floats) -> tuple[float, float]:
    """Limits that hold every number of the columns with some air; 0 to 1 where there is none."""
    known = np.concatenate(columns)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    air = 0.06 * (high - low) or 0.05
    return low - air, high + air


def decades(axis: Axis) -> None:
    """Tick labels such as 0.001 at whole powers of ten."""
    axis.set_major_locator(LogLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def finish(panels: Sequence[Axes]) -> None:
    """Small tick labels, a faint grid, no frame."""
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.grid(color="0.5", alpha=0.2, linewidth=0.6)
        axes.set_axisbelow(True)
        style.tidy(axes)
