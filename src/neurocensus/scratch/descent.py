"""Backward through a `Network`, and gradient descent on all examples at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import integer
from .inputs import check_data
from .network import Array, Network, sigmoid

RECORD_EVERY = 100
"""Iterations between two costs of a history."""


@dataclass(frozen=True)
class Descent:
    """How a training went."""

    iterations: tuple[int, ...]
    """Updates done when each cost was taken, from 0 on."""
    costs: tuple[float, ...]
    """Mean cross-entropy of the training set, in nats."""
    diverged: int | None
    """The iteration at which divergence was noticed (`divergence`); None: it did not diverge."""


def cost(logits: Array, y: Array) -> float:
    """Mean cross-entropy in nats of labels 0 and 1, (N,), and the output's sums before the sigmoid, (N,).

    -log p where y is 1, and -log(1 - p) where it is 0, written with logits so that it is finite where p
    rounds to 0 or 1.
    """
    return float(np.mean(np.logaddexp(0, logits) - y * logits))


def gradients(network: Network, x: Any, y: Array) -> tuple[list[Array], list[Array]]:
    """Gradients of `cost` with respect to the weights and the biases of each layer.

    Args:
        x: (N, inputs).
        y: labels 0 and 1, (N,).
    """
    *outputs, logits = network.forward(x)
    return _backward(network, outputs, logits, y)


def _backward(
    network: Network, outputs: Sequence[Array], logits: Array, y: Array
) -> tuple[list[Array], list[Array]]:
    """`outputs`: the input and what each hidden layer made of it."""
    # Sigmoid and cross-entropy together have this simple slope.
    slope = (sigmoid(logits) - y[:, None]) / len(y)
    weights, biases = [], []
    for layer in reversed(range(len(network.weights))):
        weights.append(slope.T @ outputs[layer])
        biases.append(slope.sum(axis=0))
        if layer:  # through the weights, and through the ReLU before them: its slope is 1 above 0, else 0
            slope = (slope @ network.weights[layer]) * (outputs[layer] > 0)
    return weights[::-1], biases[::-1]


def fit(
    network: Network,
    x: Any,
    y: Any,
    *,
    learning_rate: float = 0.0075,
    iterations: int = 2500,
    frozen: Collection[str] = (),
    record_every: int = RECORD_EVERY,
    on_record: Callable[[int, Network], None] | None = None,
) -> Descent:
    """Train a network in place by gradient descent on the whole training set.

    The defaults are the published baseline (table 3.1 of the thesis).

    Args:
        network: changed in place.
        x: inputs, (N, inputs), see `flatten`.
        y: labels 0 and 1, (N,), both of them present.
        learning_rate: above 0.
        iterations: updates.
        frozen: names of the layers to leave as they are.
        record_every: updates between two costs of the history; the first and the last are always there.
        on_record: called with each of these iterations and the network as it then is.

    Returns:
        The history. A training whose cost is no longer finite is broken off.

    Raises:
        TypeError, ValueError: shapes that do not fit, values that are not finite, one class only, an unknown
            layer, a learning rate that is not positive.
    """
    x, y = check_data(x, y)
    rate, iterations = check_rate(learning_rate), integer("iterations", iterations, 0)
    record_every = integer("record_every", record_every, 1)
    trained = [name not in check_frozen(network, frozen) for name in network.layer_names]
    taken: list[int] = []
    costs: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):  # of a training that diverges
        for iteration in range(iterations + 1):
            *outputs, logits = network.forward(x)
            if iteration % record_every == 0 or iteration == iterations:
                taken.append(iteration)
                costs.append(cost(logits[:, 0], y))
                if on_record is not None:
                    on_record(iteration, network)
                if not math.isfinite(costs[-1]):
                    break
            if iteration < iterations:
                slopes = _backward(network, outputs, logits, y)
                for layer, (weight, bias) in enumerate(zip(*slopes, strict=True)):
                    if trained[layer]:
                        network.weights[layer] -= rate * weight
                        network.biases[layer] -= rate * bias
    return Descent(tuple(taken), tuple(costs), divergence(taken, costs, y))


def divergence(iterations: Sequence[int], costs: Sequence[float], y: Array) -> int | None:
    """The iteration at which it shows that a training diverged; None if it did not.

    That is where the cost is first found infinite or NaN; or the last, if it ended twice as high as it began,
    and as the best constant answer. A network whose units have died has not diverged: it rests at the cost of
    that answer.

    Args:
        iterations, costs: see `Descent`.
        y: labels 0 and 1 of the training set.
    """
    for iteration, value in zip(iterations, costs, strict=True):
        if not math.isfinite(value):
            return iteration
    share = float(np.mean(y))
    constant = -share * math.log(share) - (1 - share) * math.log(1 - share)
    return iterations[-1] if costs[-1] > 2 * max(costs[0], constant) else None


def check_rate(learning_rate: float) -> float:
    """The learning rate as a float.

    Raises:
        TypeError, ValueError: no number; not above 0; not finite.
    """
    try:
        rate = float(learning_rate)
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate: expected a number, got {learning_rate!r}") from None
    if not 0 < rate < math.inf:
        raise ValueError(f"learning_rate: expected a finite number above 0, got {learning_rate}")
    return rate


def check_frozen(network: Network, frozen: Collection[str]) -> frozenset[str]:
    """The names of the layers to freeze.

    Raises:
        TypeError, ValueError: a text, or a name that is no layer's.
    """
    if isinstance(frozen, str):
        raise TypeError(f"frozen: expected names of layers, such as ['hidden1'], got the text {frozen!r}")
    unknown = [name for name in frozen if name not in network.layer_names]
    if unknown:
        raise ValueError(
            f"frozen: no layer {', '.join(map(repr, unknown))}; there are {', '.join(network.layer_names)}"
        )
    return frozenset(frozen)
