"""Curves of a training."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from ..plots import style
from .history import History


def plot_history(histories: Mapping[str, History]) -> Figure:
    """Loss and accuracy by epoch, one column of panels per training; the best epoch is marked.

    Args:
        histories: the trainings under the names to show them by.

    Raises:
        ValueError: no histories, or one without an epoch.
    """
    if not histories:
        raise ValueError('histories: expected at least one, got none; give {"name": history, ...}')
    for name, history in histories.items():
        if not len(history):
            raise ValueError(f"histories[{name!r}]: expected at least one epoch, got none")
    figure = style.new_figure(1.2 + 2.8 * len(histories), 4.8)
    panels = figure.subplots(2, len(histories), squeeze=False, sharex="col", sharey="row")
    colors = dict(zip(("training", "validation"), style.depth_colors(2), strict=True))
    for column, (name, history) in enumerate(histories.items()):
        epochs = history.column("epoch")
        for axes, quantity in zip(panels[:, column], ("loss", "accuracy"), strict=True):
            for data, name_in_row in (("training", quantity), ("validation", f"validation_{quantity}")):
                marker = "." if len(epochs) < 10 else None  # one epoch alone has no line
                values = history.column(name_in_row)
                axes.plot(epochs, values, color=colors[data], label=data, lw=1.4, marker=marker)
            axes.axvline(history.best["epoch"], color="0.6", lw=0.8, ls=":", label="lowest validation loss")
            style.tidy(axes)
            axes.tick_params(labelsize=8)
        style.title(panels[0, column], style.display_name(name, 32))
        panels[1, column].set_xlabel("epoch", fontsize=9)
        panels[1, column].xaxis.get_major_locator().set_params(integer=True)
    panels[0, 0].set_ylabel("loss", fontsize=9)
    panels[0, 0].set_ylim(bottom=0)
    panels[1, 0].set_ylabel("accuracy", fontsize=9)
    style.percent_axis(panels[1, 0].yaxis)
    panels[0, 0].legend(fontsize=8, frameon=False)
    return figure
