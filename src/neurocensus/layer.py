"""`LayerAudit`: what a census found at one audit point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import metrics
from .metrics import Counts, Floats
from .state import UnitState


@dataclass(frozen=True)
class LayerAudit:
    """One audit point: its state, and how that came about.

    Arrays have one entry per unit; indices are int64.
    """

    name: str
    """Dotted module path, perhaps with function name and call suffix; may be any text."""
    state: UnitState
    kind: str
    """Class name of the module ("ReLU"), or name of the function ("relu")."""
    unit_axis: int
    """Axis of the observed tensor that holds the units, not negative."""
    unit_rule: str
    """Why that axis, for people: "axis 1: after a convolution", "given"."""
    example_axis: int
    dtype: str
    """Data type of the observed tensor: "float32"."""
    training: bool
    """Whether the module was in train mode."""
    calls: int
    """How often an output was observed."""
    masked: bool = False
    """Whether a mask chose what was counted."""

    @property
    def units(self) -> int:
        """Number of units."""
        return self.state.units

    @property
    def examples(self) -> int:
        """Examples with at least one value seen here."""
        return self.state.examples

    @property
    def values(self) -> int:
        """Scalars read: units x values per unit."""
        return self.units * self.state.values

    @property
    def dead(self) -> int:
        """Number of dead units."""
        return int(np.count_nonzero(self.state.dead))

    @property
    def dead_units(self) -> Counts:
        """Indices of the dead units, ascending."""
        return np.flatnonzero(self.state.dead)

    @property
    def nnu(self) -> float:
        """Dead units / units of this layer."""
        return self.dead / self.units

    @property
    def unseen(self) -> int:
        """Number of units with no value seen. They count as units and are not dead."""
        return int(np.count_nonzero(metrics.unseen(self.state)))

    def near_dead_units(self, share: float = 0.99) -> Counts:
        """Indices of units silent on more than `share` of the examples, dead ones included."""
        return np.flatnonzero(metrics.near_dead(self.state, share))

    def dormant_units(self, tau: float = 0.025) -> Counts:
        """Indices of tau-dormant units (`metrics.dormant`)."""
        return np.flatnonzero(metrics.dormant(self.state, tau))

    @property
    def silent_fraction(self) -> Floats:
        """Share of examples on which each unit is silent."""
        return metrics.silent_fraction(self.state)

    @property
    def zero_fraction(self) -> Floats:
        """Share of zeros among each unit's values (APoZ)."""
        return metrics.zero_fraction(self.state)

    @property
    def argmax(self) -> Counts:
        """Index of the example that activates each unit most, -1 where there is none."""
        return self.state.argmax

    @property
    def firing_rate_bound(self) -> Floats:
        """95 % upper bound of each dead unit's probability to fire on an example; NaN for others."""
        return metrics.firing_rate_bound(self.state)

    @property
    def max(self) -> float:
        """Largest finite value of the layer; NaN if there is none."""
        maxima = metrics.maxima(self.state)
        return float(maxima.max()) if len(maxima) else math.nan

    @property
    def skewness(self) -> float:
        """Skewness of the units' maxima, dead units included."""
        return metrics.skewness(metrics.maxima(self.state))
