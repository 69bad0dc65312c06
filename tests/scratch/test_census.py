"""The census of the network in NumPy is that of the same network in torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import neurocensus as nc
from neurocensus.scratch import Network, audit

from .test_network import as_torch


def test_it_is_the_census_of_the_same_network_in_torch() -> None:
    network = Network.create((30, 40, 7, 5, 1), seed=4)
    network.biases[1] -= 1.5  # some units die
    x = np.random.default_rng(1).standard_normal((300, 30))
    mine = audit(network, x, histogram=True)
    its = nc.audit(as_torch(network), torch.tensor(x).split(256), histogram=True)
    assert 0 < mine.dead == its.dead
    assert (mine.units, mine.examples, mine.values, mine.nnu) == (
        its.units,
        its.examples,
        its.values,
        its.nnu,
    )
    assert list(mine.layers) == ["hidden1", "hidden2", "hidden3", "output"]
    for a, b in zip(mine.layers.values(), its.layers.values(), strict=True):
        np.testing.assert_array_equal(a.state.nonzero, b.state.nonzero)
        np.testing.assert_array_equal(a.state.argmax, b.state.argmax)
        np.testing.assert_allclose(a.state.max, b.state.max, rtol=1e-10)
        np.testing.assert_allclose(a.state.mean, b.state.mean, rtol=1e-9, atol=1e-12)
    assert [layer.kind for layer in mine.layers.values()] == ["relu", "relu", "relu", "sigmoid"]
    assert mine.plot_range() is not None
    assert "4 layers" in str(mine)


def test_no_inputs() -> None:
    with pytest.raises(ValueError, match="x: expected at least one input, got none"):
        audit(Network.create((3, 1)), np.zeros((0, 3)))


class Given:
    """A network of arrays that gives what it is told to."""

    def __init__(self, activations: Callable[[Any], Any]) -> None:
        self.activations = activations


@pytest.mark.parametrize(
    ("activations", "kind", "message"),
    [
        (
            lambda x: {"a": x[:3], "b": x[:3]},
            ValueError,
            r"^network: expected activations\(x\) to give arrays \(5, units\), .* got shape \(3, 4\) for 'a'",
        ),
        (lambda x: {"a": x, "b": x.T}, ValueError, "the same examples of all layers, got .*'b': 4"),
        (lambda x: {"a": x.T}, ValueError, r"\(5, units\), .* got shape \(4, 5\) for 'a'"),
        (lambda x: {"a": np.vstack([x, x])}, ValueError, r"\(5, units\), .* got shape \(10, 4\) for 'a'"),
        (lambda x: x, TypeError, "^activations: expected a mapping of arrays by layer, got ndarray"),
    ],
)
def test_a_layer_gives_a_row_for_each_input(
    activations: Callable[[Any], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        audit(Given(activations), np.ones((5, 4)))  # type: ignore[arg-type]


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from neurocensus.scratch import Network, audit, fit\n"
        "network = Network.create((4, 3, 1))\n"
        "x = np.random.default_rng(0).standard_normal((6, 4))\n"
        "fit(network, x, np.arange(6) % 2, iterations=3)\n"
        "assert audit(network, x).units == 4\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
