"""What a way to statistics of units looks like here, and whether it found what `UnitState` finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from neurocensus import UnitState

Statistics = Mapping[str, npt.ArrayLike]
"""Names of `COMPARED`, and what was found: one entry per unit, or one number of the layer."""


class Counter(Protocol):
    """Statistics of one layer, batch by batch; what is found of a batch is folded into what is known."""

    def update(self, x: Tensor, /) -> object:
        """Count a batch of activations: float32, or what the way takes beside it."""

    def statistics(self) -> Statistics:
        """Of all batches so far."""


def moments(state: UnitState) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and sum of squares of the values of each unit."""
    return state.mean * state.finite, state.m2 + state.mean**2 * state.finite


COMPARED: Mapping[str, tuple[Callable[[UnitState], npt.ArrayLike], float]] = {
    "max": (lambda state: state.max, 0.0),
    "min": (lambda state: state.min, 0.0),
    "nonzero": (lambda state: state.nonzero, 0.0),
    "dead": (lambda state: state.dead, 0.0),
    "sum": (lambda state: moments(state)[0], 1e-3),
    "squares": (lambda state: moments(state)[1], 1e-3),
    "largest of the layer": (lambda state: state.max.max(), 0.0),
    "smallest of the layer": (lambda state: state.min.min(), 0.0),
    "values of the layer": (lambda state: state.units * state.values, 1e-3),
}
"""Each statistic of a peer: the same from a state, and how far, relatively, the peer's may be from it.

Sums and bins are float32 in most peers, hence the tolerance. What is exact must be the same.
"""


def assert_agree(found: Statistics, state: UnitState, at_least: float = 0.0) -> None:
    """Raise where a peer says otherwise than a state that has seen the same values.

    Args:
        at_least: the tolerance of all statistics that have a smaller one: of a peer that runs the model by
            other kernels, and so has seen almost the same values.
    """
    assert found, "the peer found nothing"
    for name, value in found.items():
        wanted, own = COMPARED[name]
        tolerance = max(own, at_least)
        expected = np.asarray(wanted(state))
        np.testing.assert_allclose(np.asarray(value), expected, tolerance, tolerance, err_msg=name)
