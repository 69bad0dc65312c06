"""The activation spectrum: a stacked histogram coloured by layer, with the dead spike apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from .. import text
from ..metrics import Spectrum
from . import style

COLUMNS = 3
LINEAR_LIMIT = 4.0  # a dead spike up to this many times the tallest bin leaves the bins readable
PEAK_LIMIT = 60.0  # so does a tallest bin up to this many times the typical one
FLOOR = 0.5  # where bars of a log scale begin: half a unit
BANDS = 128  # more layers than this are drawn in groups of neighbours, whose colours are alike


def plot_spectrum(spectra: Mapping[str, Spectrum]) -> Figure:
    """Histogram of the units' maxima, one panel per model on shared axes, coloured from first layer to last.

    Dead units have their own hatched bar left of the histogram. Where a spike would flatten the rest the
    y axis is logarithmic; colours then split each bar in proportion to the layers' counts, which a plain
    stack on a log axis would not.

    Args:
        spectra: the models' spectra by name; give them the same edges to compare bin by bin.

    Raises:
        ValueError: `spectra` is empty.
    """
    if not spectra:
        raise ValueError("spectra: expected at least one model, got none")
    rows, columns = style.grid_shape(len(spectra), COLUMNS)
    figure = style.new_figure(9.0 if columns == 1 else 4.6 * columns + 1.0, 4.4 if rows == 1 else 3.6 * rows)
    logarithmic = any(_wants_log(spectrum) for spectrum in spectra.values())
    top = _top(spectra, logarithmic)
    low = min(float(spectrum.edges[0]) for spectrum in spectra.values())
    high = max(float(spectrum.edges[-1]) for spectrum in spectra.values())

    ratios = [0.11 if columns == 1 else 0.17, 1.0] * columns
    panels = figure.subplots(rows, 2 * columns, squeeze=False, sharey=True, width_ratios=ratios)
    cells = [(row[2 * column], row[2 * column + 1]) for row in panels for column in range(columns)]
    for index, ((spike, bins), (model, spectrum)) in enumerate(zip(cells, spectra.items(), strict=False)):
        if logarithmic:
            spike.set_yscale("log")
            spike.yaxis.set_minor_locator(NullLocator())
        else:
            spike.yaxis.set_major_locator(MaxNLocator("auto", integer=True))  # there is no half unit
        spike.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _draw_dead(spike, spectrum, logarithmic)
        _draw_bins(bins, spectrum, logarithmic)
        bins.set_xlim(low, high)
        if low < 0:
            bins.axvline(0, color="0.5", linewidth=0.8)
        spike.set_ylim(FLOOR if logarithmic else 0.0, top)
        style.title(bins, _heading(model, spectrum))
        if index % columns == 0:
            spike.set_ylabel("units (log scale, colours by share)" if logarithmic else "units", fontsize=9)
        bins.set_xlabel("maximum activation of a unit", fontsize=9)
    for spike, bins in cells[len(spectra) :]:
        spike.set_visible(False)
        bins.set_visible(False)
    _draw_key(figure, list(panels.flat), spectra)
    return figure


def _wants_log(spectrum: Spectrum) -> bool:
    total = _total(spectrum)
    tallest = int(total.max(initial=0))
    if sum(spectrum.dead.values()) > LINEAR_LIMIT * max(tallest, 1):
        return True
    return bool(tallest > 0 and tallest > PEAK_LIMIT * np.median(total[total > 0]))


def _top(spectra: Mapping[str, Spectrum], logarithmic: bool) -> float:
    """Upper y limit, with room for the number above the dead bar."""
    tallest = max(
        max(int(_total(spectrum).max(initial=0)), sum(spectrum.dead.values()))
        for spectrum in spectra.values()
    )
    tallest = max(tallest, 1)
    return FLOOR * (tallest / FLOOR) ** 1.15 if logarithmic else 1.15 * tallest


def _total(spectrum: Spectrum) -> npt.NDArray[np.int64]:
    out = np.zeros(len(spectrum.edges) - 1, np.int64)
    for counts in spectrum.counts.values():
        out += counts
    return out


def _draw_dead(axes: Axes, spectrum: Spectrum, logarithmic: bool) -> None:
    dead = sum(spectrum.dead.values())
    if dead:
        floor = FLOOR if logarithmic else 0.0
        axes.bar(
            [0], [dead - floor], bottom=floor, width=0.8, color=style.DEAD, hatch="///", edgecolor="white"
        )
    share = dead / spectrum.units if spectrum.units else math.nan
    axes.annotate(
        f"{text.count(dead)}\n{text.percent(share)}",
        (0, max(dead, FLOOR if logarithmic else 0)),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
        color=style.DEAD,
        annotation_clip=False,
    )
    axes.set_xlim(-0.6, 0.6)
    axes.set_xticks([0], ["dead"], fontsize=8, color=style.DEAD)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8, labelleft=True)
    style.tidy(axes)


def _draw_bins(axes: Axes, spectrum: Spectrum, logarithmic: bool) -> None:
    layers = list(spectrum.counts.values())
    total = _total(spectrum)
    bands = np.array_split(np.arange(len(layers)), min(len(layers), BANDS)) if layers else []
    colors = style.depth_colors(len(bands))
    below = np.zeros(len(total))
    lower = _heights(below, total, logarithmic)
    for band, color in zip(bands, colors, strict=True):
        below = below + sum(layers[index] for index in band)
        upper = _heights(below, total, logarithmic)
        axes.stairs(upper, spectrum.edges, baseline=lower, fill=True, color=color, linewidth=0)
        lower = upper
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color="0.5", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _heights(
    below: npt.NDArray[np.float64], total: npt.NDArray[np.int64], logarithmic: bool
) -> npt.NDArray[np.float64]:
    """Where a layer's segment ends, with `below` of a bar's `total` units under it.

    On a log axis that share of the bar's drawn height.
    """
    if not logarithmic:
        return below
    share = np.divide(below, total, out=np.zeros(len(total)), where=total > 0)
    return np.where(total > 0, FLOOR * (np.maximum(total, 1) / FLOOR) ** share, FLOOR)


def _draw_key(figure: Figure, panels: list[Axes], spectra: Mapping[str, Spectrum]) -> None:
    """A legend for few layers, the same in every panel; else a colour bar by depth."""
    layers = {tuple(spectrum.counts) for spectrum in spectra.values()}
    names = list(next(iter(layers)))
    if len(layers) == 1 and len(names) <= style.LEGEND_LIMIT:
        handles = [
            Patch(color=color, label=name)
            for name, color in zip(
                style.display_names(names, 28), style.depth_colors(len(names)), strict=True
            )
        ]
        legend = figure.legend(
            handles=handles, loc="outside right upper", fontsize=8, frameon=False, reverse=True
        )
        style.plain(*legend.get_texts())
        return
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), style.depth_colormap()), ax=panels, pad=0.01, aspect=30, fraction=0.03
    )
    if len(layers) > 1:
        bar.set_ticks([0, 1], labels=["first layer", "last layer"], fontsize=8)
        return
    marks = np.linspace(0, len(names) - 1, 5).round().astype(int)
    labels = style.display_names([names[mark] for mark in marks], 28)
    bar.set_ticks(list(marks / (len(names) - 1)), labels=labels, fontsize=8)
    style.plain(*bar.ax.get_yticklabels())


def _heading(model: str, spectrum: Spectrum) -> str:
    return (
        f"{style.display_name(model, 40)}\n"
        f"skewness {text.real(spectrum.skewness)}, without the dead {text.real(spectrum.skewness_living)}"
    )
