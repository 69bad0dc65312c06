"""The share of dead units of each layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .. import metrics, text
from ..state import UnitState
from . import bars, style


def plot_dead(states: Mapping[str, UnitState]) -> Figure:
    """Bars of dead units / units, layers from top to bottom in network order.

    Args:
        states: the layers' states by name.
    """
    names = list(states)
    dead = [int(np.count_nonzero(state.dead)) for state in states.values()]
    shares = [count / state.units for count, state in zip(dead, states.values(), strict=True)]
    labels = [_label(count, state) for count, state in zip(dead, states.values(), strict=True)]

    figure = style.new_figure(5.5 + style.name_room(names), bars.height(len(names)))
    axes = figure.subplots()
    bars.draw(axes, shares, labels, color=style.DEAD)
    style.name_ticks(axes, names)
    bars.limits(axes, shares, room=0.3, least=0.01)
    style.percent_axis(axes.xaxis)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("dead units / units of the layer", fontsize=9)
    units = sum(state.units for state in states.values())
    style.title(
        axes,
        f"{text.count(sum(dead))} of {text.plural(units, 'unit')} dead: "
        f"NNU {text.percent(metrics.nnu(states.values()))}",
    )
    return figure


def _label(dead: int, state: UnitState) -> str:
    if metrics.unseen(state).any():
        return "unseen"
    return (
        f"{text.percent(dead / state.units)} ({text.count(dead)} of {text.count(state.units)})"
        if dead
        else "0"
    )
