"""States of all ranks as one, by element-wise reductions over flat columns: one column per field, all layers.

Counts are sums and extrema are extrema: exact in any order. The index of a maximum is the lowest of those who
reach it. Moments are joined as by Chan, Golub & LeVeque (1983), in two steps: first the mean of all, then the
deviations from it, which cancel nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..native import core
from ..state import FORMAT_VERSION, UnitState
from .exchange import How
from .facts import LayerFacts
from .numbering import Numbering

Column = npt.NDArray[Any]
Reduce = Callable[[Column, How], Column]
"""(column of this rank, "sum", "max" or "min") to the column of all; may overwrite what it is given."""

_COUNTS: Final = ("nonzero", "active_examples", "nan", "inf")
_NOBODY: Final = np.iinfo(np.int64).max  # no rank's example: every index is lower


class Columns:
    """Fields of this rank's states, each flat over all layers; the empty state where it has no such layer.

    Args:
        layers: of the whole.
        states: of this rank, by name; on whatever device.
    """

    def __init__(self, layers: Sequence[LayerFacts], states: Mapping[str, UnitState]) -> None:
        self._layers = layers
        self._states = {
            name: state if state.device == "cpu" else state.copy("cpu") for name, state in states.items()
        }
        self._empty = UnitState(1)
        ends = np.cumsum([0, *(layer.units for layer in layers)]).tolist()
        self.places = {layer.name: slice(ends[at], ends[at + 1]) for at, layer in enumerate(layers)}
        self.units: int = ends[-1]

    def __getitem__(self, field: str) -> Column:
        """A property of `UnitState` with one number per unit, (units of all layers,), as a copy."""
        empty = getattr(self._empty, field)
        out = np.full(self.units, empty[0], empty.dtype)
        for name, state in self._states.items():
            out[self.places[name]] = getattr(state, field)
        return out

    def values(self) -> Column:
        """Values that all ranks together have seen of each unit."""
        return np.repeat([layer.values for layer in self._layers], [layer.units for layer in self._layers])

    def histograms(self) -> Column:
        """Bins of the layers that have them, one after the other."""
        bins = [self._bins(layer) for layer in self._layers if layer.histogram]
        return np.concatenate(bins) if bins else np.empty(0, np.int64)

    def _bins(self, layer: LayerFacts) -> Column:
        state = self._states.get(layer.name)
        bins = None if state is None else state.histogram
        return np.zeros(core.HISTOGRAM_SIZE, np.int64) if bins is None else bins


def reduce_states(
    layers: Sequence[LayerFacts],
    states: Mapping[str, UnitState],
    numbering: Numbering,
    reduce: Reduce,
    *,
    threshold: float,
) -> dict[str, UnitState]:
    """The states of the whole. All ranks make the same reductions, whatever they have seen.

    Args:
        layers: of the whole, the same list on all ranks.
        states: of this rank, by name.
        numbering: of this rank's examples.
        reduce: over all ranks.
        threshold: of all states.

    Returns:
        A new state for each layer, on the host.
    """
    own = Columns(layers, states)
    columns = _reduce_columns(own, numbering, reduce) if own.units else {}
    histograms = own.histograms()
    if len(histograms):
        histograms = reduce(histograms, "sum")
    bins = iter(histograms.reshape(-1, core.HISTOGRAM_SIZE))
    return {
        layer.name: UnitState.from_dict(
            {
                "format_version": FORMAT_VERSION,
                "threshold": threshold,
                "examples": layer.examples,
                "values": layer.values,
                "next_example": layer.next_example,
                **{field: column[own.places[layer.name]] for field, column in columns.items()},
                "histogram": next(bins) if layer.histogram else None,
            }
        )
        for layer in layers
    }


def _reduce_columns(own: Columns, numbering: Numbering, reduce: Reduce) -> dict[str, Column]:
    whole = {field: reduce(own[field], "sum") for field in _COUNTS}
    whole["max"] = reduce(own["max"], "max")
    whole["min"] = reduce(own["min"], "min")
    seen = own["finite"] > 0
    first = np.where(seen & (own["max"] == whole["max"]), numbering.place(own["argmax"]), _NOBODY)
    first = reduce(first, "min")
    whole["argmax"] = np.where(first == _NOBODY, -1, first)

    finite = own.values() - whole["nan"] - whole["inf"]
    share = own["finite"] / np.maximum(finite, 1)
    for field in ("mean", "mean_abs"):
        whole[field] = _mean(own[field], share, seen, reduce)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite squares, as in the definition
        spread = own["m2"] + own["finite"] * (own["mean"] - whole["mean"]) ** 2
    whole["m2"] = reduce(np.where(seen, spread, 0.0), "sum")
    return whole


def _mean(mean: Column, share: Column, seen: Column, reduce: Reduce) -> Column:
    """The weighted mean, which never leaves the range of what it is taken of.

    Kept there, rounding can neither overflow nor make a mean of equal numbers differ from them: a constant
    unit stays without variance.
    """
    low = reduce(np.where(seen, mean, np.inf), "min")
    high = reduce(np.where(seen, mean, -np.inf), "max")
    with np.errstate(over="ignore"):
        whole = reduce(np.where(seen, share * mean, 0.0), "sum")
    return np.where(low <= high, np.clip(whole, low, high), 0.0)
