"""Model adaptation: a trained network, without its output, feeds a new one."""

from __future__ import annotations

from collections.abc import Sequence

from .network import Network


def adapt(source: Network, hidden: Sequence[int], *, seed: int = 1) -> Network:
    """A network that begins with the source's hidden layers, followed by new ones.

    The source's output layer is left out; its last hidden layer feeds the first new one, as in figure 3.3 of
    the thesis. With the source 12288-20-7-5-1 and ``hidden`` (20, 7, 5) it is 12288-20-7-5-20-7-5-1, of which
    ``hidden1`` to ``hidden3`` are the source's.

    Args:
        source: is copied; with one hidden layer or more.
        hidden: units of the new hidden layers, before the output of one unit.
        seed: of the new weights, see `Network.create`.

    Raises:
        TypeError, ValueError: no hidden layers in the source; see `Network.create`.
    """
    if len(source.weights) < 2:
        raise ValueError(f"source: expected a network with a hidden layer, got {source!r}")
    new = Network.create((source.widths[-2], *hidden, 1), seed=seed)
    return Network([*source.weights[:-1], *new.weights], [*source.biases[:-1], *new.biases])
