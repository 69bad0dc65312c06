"""From an audit to a row of the monitor, and from a row to scalars with tags."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from .. import metrics, tables, text

if TYPE_CHECKING:
    from ..result import Audit, LayerAudit
    from ..state import UnitState
    from .journal import Row

Mode = Literal["train", "eval"]

WHOLE: Final = ("nnu", "max", "mean", "skewness", "consistency")
"""Statistics of the whole network that become scalars."""
PER_LAYER: Final = ("nnu", "zero_fraction", "max", "mean", "skewness")
"""Statistics of a layer that do."""


def row_of(audit: Audit, mode: Mode, first_step: int, step: int) -> Row:
    """What is known of the network after `step` steps, from what it gave since `first_step`.

    Statistics have the names and definitions of `Audit.to_dict`; `mean` is that of all finite values.
    """
    states, layers = audit.states.values(), audit.layers.values()
    peaks = [metrics.maxima(state) for state in states]
    return {
        "step": step,
        "first_step": first_step,
        "mode": mode,
        "model": audit.model,
        "examples": audit.examples,
        "batches": audit.batches,
        "units": audit.units,
        "dead": audit.dead,
        "unseen": audit.unseen,
        "nnu": audit.nnu,
        "max": max((layer.max for layer in layers if not math.isnan(layer.max)), default=math.nan),
        "mean": mean(states),
        "skewness": metrics.skewness(np.concatenate([np.zeros(0), *peaks])),
        "consistency": audit.range().consistency,
        "never_fired": list(audit.never_fired),
        "layers": {layer.name: _layer(layer) for layer in layers},
        "warnings": [],
    }


def _layer(layer: LayerAudit) -> dict[str, Any]:
    return {
        "units": layer.units,
        "dead": layer.dead,
        "unseen": layer.unseen,
        "nnu": layer.nnu,
        "zero_fraction": tables.mean(layer.zero_fraction),
        "max": layer.max,
        "mean": mean([layer.state]),
        "skewness": layer.skewness,
        "examples": layer.examples,
        "nan": int(layer.state.nan.sum()),
        "inf": int(layer.state.inf.sum()),
    }


def mean(states: Iterable[UnitState]) -> float:
    """Mean of all finite values of these layers; NaN where there is none."""
    total, values = 0.0, 0.0
    for state in states:
        some = state.finite > 0
        count = float(state.finite[some].sum())
        if count:
            share = count / (values + count)
            average = float(np.sum(state.mean[some] * (state.finite[some] / count)))
            total += (average - total) * share
            values += count
    return total if values else math.nan


def scalars(row: Row) -> dict[str, float]:
    """The row's numbers by tag: ``activations/<statistic>`` and ``activations/<statistic>/<layer>``.

    Those of eval mode begin with ``eval/``. What is not finite has no scalar.
    """
    return dict(_tagged(row))


def _tagged(row: Row) -> Iterator[tuple[str, float]]:
    start = "activations" if row["mode"] == "train" else f"{row['mode']}/activations"
    yield from _finite(start, row, WHOLE, "")
    for name, layer in row["layers"].items():
        yield from _finite(start, layer, PER_LAYER, f"/{text.printable(name)}")


def _finite(
    start: str, values: Mapping[str, Any], names: Iterable[str], end: str
) -> Iterator[tuple[str, float]]:
    for name in names:
        value = float(values[name])
        if math.isfinite(value):
            yield f"{start}/{name}{end}", value
