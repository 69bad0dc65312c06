"""Which units are dead, and where: the indices with the axis that they are on."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import text
from ..selection import unknown

if TYPE_CHECKING:
    from ..result import Audit

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """Where a layer's units are: on which axis of its output, and how many."""

    axis: int
    units: int


class DeadUnits(Mapping[str, Indices]):
    """Dead units by layer: ``{layer: ascending indices}``, of layers that have some. Made by `dead_units`.

    Args:
        units: the indices by layer.
        places: where the units of these layers are.
        threshold: of the audit: 0 means that the units were exactly zero.
    """

    def __init__(
        self, units: Mapping[str, Indices], places: Mapping[str, Place], threshold: float = 0.0
    ) -> None:
        self._units = {name: as_indices(name, indices) for name, indices in units.items()}
        self.places = {name: places[name] for name in self._units}
        self.threshold = threshold

    def __getitem__(self, layer: str) -> Indices:
        return self._units[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    @property
    def count(self) -> int:
        """Dead units of all layers."""
        return sum(len(indices) for indices in self._units.values())

    def __repr__(self) -> str:
        return f"<DeadUnits: {text.plural(self.count, 'unit')} in {text.plural(len(self), 'layer')}>"


def dead_units(audit: Audit, *, layers: Sequence[str] | None = None) -> DeadUnits:
    """The dead units of an audit, by layer.

    Where the audit's threshold is above 0, they need not be exactly zero, and masking them changes the
    outputs; `verify` says by how much.

    Args:
        audit: what was counted.
        layers: of these layers only; default: all that have dead units.

    Raises:
        ValueError: a name that the audit does not have.
    """
    for name in layers or ():
        if name not in audit.layers:
            raise unknown(name, audit.layers, audit.layers)
    chosen = {
        name: layer
        for name, layer in audit.layers.items()
        if layer.dead and (layers is None or name in layers)
    }
    places = {name: Place(layer.unit_axis, layer.units) for name, layer in chosen.items()}
    return DeadUnits({name: layer.dead_units for name, layer in chosen.items()}, places, audit.threshold)


def as_indices(layer: str, indices: Any) -> Indices:
    """Indices of units, ascending and each once.

    Raises:
        TypeError: they are no integers.
        ValueError: one is negative.
    """
    try:
        found = sorted({operator.index(index) for index in indices})
    except TypeError:
        raise TypeError(
            f"dead[{layer!r}]: expected indices of units (integers), got {indices!r}; "
            "of a mask take numpy.flatnonzero(mask)"
        ) from None
    if any(isinstance(index, (bool, np.bool_)) for index in indices):
        raise TypeError(
            f"dead[{layer!r}]: expected indices of units, got bools; take numpy.flatnonzero of them"
        )
    if found and found[0] < 0:
        raise ValueError(f"dead[{layer!r}]: expected indices from 0, got {found[0]}")
    return np.asarray(found, np.int64)
