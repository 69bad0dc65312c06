"""Horizontal bars with a name before and a number after each: range, dead share and NNU share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from . import style

ROW = 0.19  # inches: an 8 point name and air
TALLEST = 24.0
LABEL_LIMIT = 120  # more rows than this get no numbers: they would overlap


def height(rows: int, extra: float = 1.1) -> float:
    """Height in inches of a figure with that many bars above one another."""
    return min(max(rows, 3) * ROW, TALLEST) + extra


def draw(axes: Axes, values: Sequence[float], labels: Sequence[str], **style_of_bars: Any) -> Any:
    """Bars from 0 to each value at y = 0, 1, ...; NaN draws no bar. Returns the bar container."""
    lengths = np.nan_to_num(np.asarray(values, np.float64), nan=0.0)
    bars = axes.barh(np.arange(len(lengths)), lengths, height=0.78, **style_of_bars)
    if len(lengths) <= LABEL_LIMIT:
        for row, (length, label) in enumerate(zip(lengths, labels, strict=True)):
            style.plain(
                axes.annotate(
                    label,
                    (max(length, 0.0), row),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7.5,
                    annotation_clip=False,
                    bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.5},
                )
            )
    style.tidy(axes)
    return bars


def limits(axes: Axes, values: Sequence[float], room: float = 0.2, least: float = 0.0) -> None:
    """X limits that hold all bars and 0, with room on the right for the numbers."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=least))
    span = (high - low) or 1.0
    axes.set_xlim(low - (0.03 * span if low < 0 else 0.0), high + room * span)
    if low < 0:
        axes.axvline(0, color="0.5", linewidth=0.8)
