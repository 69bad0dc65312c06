"""Backward, and gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional

from neurocensus.scratch import Network, fit
from neurocensus.scratch.descent import cost, divergence, gradients

from .test_network import WIDTHS, as_torch


def examples(inputs: int, count: int = 12, seed: int = 0) -> tuple[Any, Any]:
    """Inputs and labels of both classes, which can be told apart."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, inputs))
    y = (x[:, 0] > np.median(x[:, 0])).astype(np.int64)
    return x, y


@given(WIDTHS, st.integers(0, 999), st.integers(2, 6))
def test_gradients_are_the_slopes_of_the_cost(widths: tuple[int, ...], seed: int, count: int) -> None:
    """Numerically, one weight after the other: central differences."""
    random = np.random.default_rng(seed)
    network = Network.create(widths, seed=seed)
    for bias in network.biases:
        bias += random.standard_normal(len(bias))
    x, y = random.standard_normal((count, widths[0])), random.integers(0, 2, count).astype(float)
    # A unit's sum near 0 would step over the kink of its ReLU.
    sums = [
        values @ w.T + b
        for values, w, b in zip(network.forward(x), network.weights, network.biases, strict=False)
    ]
    assume(min(np.abs(values).min() for values in sums) > 1e-3)
    step = 1e-6
    for arrays, slopes in zip((network.weights, network.biases), gradients(network, x, y), strict=True):
        for array, slope in zip(arrays, slopes, strict=True):
            for place in np.ndindex(array.shape):
                kept = array[place]
                array[place] = kept + step
                above = cost(network.logits(x), y)
                array[place] = kept - step
                below = cost(network.logits(x), y)
                array[place] = kept
                assert slope[place] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8)


@given(WIDTHS, st.integers(0, 99))
def test_descent_is_that_of_torch(widths: tuple[int, ...], seed: int) -> None:
    network = Network.create(widths, seed=seed)
    x, y = examples(widths[0], seed=seed)
    model = as_torch(network)[:-1]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            model(torch.tensor(x))[:, 0], torch.tensor(y).double()
        )
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    went = fit(network, x, y, learning_rate=0.1, iterations=20, record_every=1)
    np.testing.assert_allclose(went.costs[:-1], losses, rtol=1e-9, atol=1e-12)
    for mine, its in zip(network.weights, list(model.parameters())[::2], strict=True):
        np.testing.assert_allclose(mine, its.detach().numpy(), rtol=1e-8, atol=1e-11)


def test_it_learns() -> None:
    x, y = examples(6, count=60)
    network = Network.create((6, 8, 1))
    went = fit(network, x, y, learning_rate=0.5, iterations=500)
    assert went.iterations == (0, 100, 200, 300, 400, 500)
    assert went.costs[0] > 0.5 > 0.1 > went.costs[-1]
    assert went.diverged is None
    assert ((network.predict(x) > 0.5) == y).all()


@given(st.sets(st.sampled_from(["hidden1", "hidden2", "output"])))
def test_frozen_layers_stay(frozen: set[str]) -> None:
    network = Network.create((4, 5, 3, 1), seed=2)
    before = network.copy()
    x, y = examples(4)
    fit(network, x, y, learning_rate=0.1, iterations=5, frozen=frozen)
    for index, name in enumerate(network.layer_names):
        same = np.array_equal(network.weights[index], before.weights[index])
        assert same == (name in frozen), name


def test_what_is_recorded() -> None:
    x, y = examples(3)
    seen = []
    network = Network.create((3, 2, 1))
    first = network.predict(x)
    went = fit(
        network,
        x,
        y,
        iterations=7,
        record_every=3,
        on_record=lambda step, net: seen.append((step, net.predict(x))),
    )
    assert went.iterations == (0, 3, 6, 7) == tuple(step for step, _ in seen)
    np.testing.assert_array_equal(seen[0][1], first)
    np.testing.assert_array_equal(seen[-1][1], network.predict(x))
    assert went.costs[-1] == cost(network.logits(x), y)
    assert fit(network, x, y, iterations=0).iterations == (0,)


def test_costs_of_sure_answers_are_finite() -> None:
    assert cost(np.array([1e5, -1e5]), np.array([1.0, 0.0])) == 0
    assert cost(np.array([1e5, -1e5]), np.array([0.0, 1.0])) == 1e5


def test_a_training_that_diverges_is_broken_off_without_a_warning() -> None:
    x, y = examples(5, count=40)
    went = fit(Network.create((5, 20, 20, 1)), x, y, learning_rate=1e30, iterations=400, record_every=10)
    assert went.diverged == went.iterations[-1] < 400
    assert not np.isfinite(went.costs[-1])
    assert np.isfinite(went.costs[:-1]).all()


def test_a_training_that_ends_above_its_start_diverged() -> None:
    x, y = examples(5, count=40)
    went = fit(Network.create((5, 20, 20, 1)), x, y, learning_rate=1e3, iterations=40)
    assert went.costs[0] < 1 < 100 < went.costs[-1] < np.inf
    assert went.diverged == 40


@pytest.mark.parametrize(
    ("costs", "at"),
    [
        ([0.7, 0.5, 0.3], None),
        ([0.7, 9.0, 0.3], None),
        ([0.6, 0.7, 0.6932], None),  # died: the cost of a constant answer
        ([0.1, 0.7, 0.6932], None),  # likewise, after a lucky start
        ([0.1, 0.7, 1.4], 20),
        ([0.9, 0.5, 1.7], None),
        ([0.9, 0.5, 1.9], 20),
        ([0.7, np.nan, 0.1], 10),
        ([np.inf, 0.5, 0.1], 0),
    ],
)
def test_divergence(costs: list[float], at: int | None) -> None:
    assert divergence([0, 10, 20], costs, np.array([0.0, 1.0])) == at


def test_a_network_that_dies_has_not_diverged() -> None:
    x, y = examples(5, count=40)
    network = Network.create((5, 4, 1))
    network.biases[0] -= 100
    went = fit(network, x, y, learning_rate=0.1, iterations=200)
    assert went.costs[-1] == pytest.approx(np.log(2))
    assert went.diverged is None


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"y": np.zeros(12, int)}, ValueError, "y: expected examples of both classes, got only class 0"),
        ({"y": np.ones(12, int)}, ValueError, "y: expected examples of both classes, got only class 1"),
        ({"y": np.arange(12)}, ValueError, "y: expected labels 0 and 1, got"),
        ({"y": np.linspace(0, 1, 12)}, TypeError, "y: expected labels 0 and 1, got float64"),
        ({"y": np.array([0, 1])}, ValueError, r"y: expected shape \(12,\)"),
        ({"x": np.full((12, 3), np.nan)}, ValueError, "x: expected finite numbers"),
        ({"x": np.zeros((12, 4))}, ValueError, r"x: expected shape \(N, 3\), got \(12, 4\)"),
        ({"x": np.zeros((0, 3))}, ValueError, r"x: expected shape \(N, inputs\), got \(0, 3\)"),
        ({"x": [[1.0], [1.0, 2.0]]}, ValueError, "x: expected numbers .* rows of unequal length"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number above 0, got 0"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate: expected a finite number above 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate: expected a number, got 'fast'"),
        ({"iterations": -1}, ValueError, "iterations: expected at least 0"),
        ({"record_every": 0}, ValueError, "record_every: expected at least 1"),
        ({"frozen": ["hidden7"]}, ValueError, "frozen: no layer 'hidden7'; there are hidden1, output"),
        ({"frozen": "hidden1"}, TypeError, "frozen: expected names of layers"),
    ],
)
def test_bad_input_leaves_the_network_as_it_was(
    change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    x, y = examples(3)
    network = Network.create((3, 2, 1))
    before = network.copy()
    with pytest.raises(kind, match=message):
        fit(network, **{"x": x, "y": y, **change})
    np.testing.assert_array_equal(network.weights[0], before.weights[0])
