"""What is swept: one thing at a time about a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arguments import integer
from ..scratch import Network, adapt
from ..scratch.descent import check_rate
from .records import LEARNING_RATE

HIDDEN = (20, 7, 5)
LEARNING_RATES = tuple(np.logspace(-4, 0, 50, endpoint=False).tolist())
"""50 values, logarithmic over [1e-4, 1)."""
WIDTHS = tuple(range(1, 51))


@dataclass(frozen=True)
class Baseline:
    """A network before training and how it is trained; the defaults are those of table 3.1 of the thesis.

    Args:
        name: of the network, for tables and plots: "cat".
        inputs: numbers in an input.
        hidden: units of the hidden layers, which can be swept.
        learning_rate: above 0.
        iterations: of gradient descent on the whole training set.
        seed: of the initial weights.
        source: a trained network whose hidden layers come first (`neurocensus.scratch.adapt`).
        frozen: layers that training leaves as they are, by the names that `build`'s network has.
    """

    name: str
    inputs: int
    hidden: tuple[int, ...] = HIDDEN
    learning_rate: float = 0.0075
    iterations: int = 2500
    seed: int = 1
    source: Network | None = None
    frozen: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_rate(self.learning_rate)
        integer("iterations", self.iterations, 0)
        if self.source is not None and self.source.widths[0] != self.inputs:
            raise ValueError(
                f"source: expected a network of {self.inputs} inputs, got {self.source.widths[0]}; the "
                "images of both must be of one size"
            )

    def build(self) -> Network:
        """The network as it is before training.

        Raises:
            TypeError, ValueError: see `Network.create`.
        """
        if self.source is None:
            return Network.create((self.inputs, *self.hidden, 1), seed=self.seed)
        return adapt(self.source, self.hidden, seed=self.seed)


@dataclass(frozen=True)
class Sweep:
    """Variations of a baseline in one thing."""

    name: str
    """"learning_rate", or "hidden1" for the units of the baseline's first hidden layer, and so on. The layers
    of a source are not counted."""
    values: tuple[float, ...]
    baselines: tuple[Baseline, ...]
    """One for each value."""


def learning_rate_sweep(baseline: Baseline, values: Iterable[float] = LEARNING_RATES) -> Sweep:
    """The baseline with other learning rates.

    Raises:
        TypeError, ValueError: no values, or one that is not above 0.
    """
    rates = tuple(map(check_rate, values))
    _check_some(rates)
    return Sweep(LEARNING_RATE, rates, tuple(replace(baseline, learning_rate=rate) for rate in rates))


def width_sweep(baseline: Baseline, layer: int, values: Iterable[int] = WIDTHS) -> Sweep:
    """The baseline with other numbers of units in one hidden layer.

    Args:
        layer: from 1 on.

    Raises:
        TypeError, ValueError: no values, one below 1, a layer that is not there.
    """
    if not 1 <= integer("layer", layer) <= len(baseline.hidden):
        raise ValueError(f"layer: expected 1 to {len(baseline.hidden)}, a hidden layer, got {layer}")
    widths = tuple(integer("values", value, 1) for value in values)
    _check_some(widths)
    before, after = baseline.hidden[: layer - 1], baseline.hidden[layer:]
    return Sweep(
        f"hidden{layer}",
        tuple(map(float, widths)),
        tuple(replace(baseline, hidden=(*before, width, *after)) for width in widths),
    )


def published_sweeps(baseline: Baseline, scale: float = 1.0) -> list[Sweep]:
    """The learning rate and the width of each hidden layer, 50 values each.

    Args:
        scale: share of the values to take, evenly spread; above 0 and at most 1. Two of each at least.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale: expected a share above 0 and at most 1, got {scale}")
    layers = range(1, len(baseline.hidden) + 1)
    return [
        learning_rate_sweep(baseline, [LEARNING_RATES[index] for index in _spread(LEARNING_RATES, scale)]),
        *(
            width_sweep(baseline, layer, [WIDTHS[index] for index in _spread(WIDTHS, scale)])
            for layer in layers
        ),
    ]


def _spread(values: Sequence[float], scale: float) -> list[int]:
    """Which of the values to take."""
    picked: list[int] = (
        np.linspace(0, len(values) - 1, max(2, round(len(values) * scale))).round().astype(int).tolist()
    )
    return picked


def _check_some(values: Sequence[float]) -> None:
    if not values:
        raise ValueError("values: expected at least one to sweep over, got none")
