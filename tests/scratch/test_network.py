"""The network in NumPy, forward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurocensus.scratch import Network
from neurocensus.scratch.network import sigmoid

WIDTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(lambda widths: (*widths, 1))


def as_torch(network: Network) -> nn.Sequential:
    """The same network as torch has it."""
    modules: list[nn.Module] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(weight), torch.tensor(bias)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1], nn.Sigmoid())


@given(WIDTHS, st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_it_gives_what_torch_gives(widths: tuple[int, ...], seed: int, examples: int) -> None:
    network = Network.create(widths, seed=seed)
    network.biases = [np.random.default_rng(seed).standard_normal(len(bias)) for bias in network.biases]
    x = np.random.default_rng(seed).standard_normal((examples, widths[0]))
    with torch.no_grad():
        expected = as_torch(network)(torch.tensor(x))[:, 0].numpy()
    np.testing.assert_allclose(network.predict(x), expected, rtol=1e-10, atol=1e-12)
    given_by = network.activations(x)
    assert tuple(given_by) == network.layer_names == tuple(network.kinds)
    assert [array.shape for array in given_by.values()] == [(examples, units) for units in widths[1:]]
    assert all((array >= 0).all() for array in given_by.values())
    np.testing.assert_array_equal(given_by["output"][:, 0], network.predict(x))


@given(WIDTHS, st.integers(0, 99))
def test_widths_names_copies_and_files(widths: tuple[int, ...], seed: int) -> None:
    network = Network.create(widths, seed=seed)
    assert network.widths == widths
    assert network.layer_names == (*(f"hidden{n}" for n in range(1, len(widths) - 1)), "output")
    again = Network.from_arrays(network.to_arrays())
    other = network.copy()
    other.weights[0] += 1
    for mine, same, changed in zip(network.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, same)
        assert mine is not changed
    assert (other.weights[0] != network.weights[0]).all()


def test_initial_weights_follow_the_seed_and_the_inputs() -> None:
    first, same, other = (Network.create((400, 300, 1), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weights[0], same.weights[0])
    assert (first.weights[0] != other.weights[0]).all()
    assert first.weights[0].std() == pytest.approx(1 / 20, rel=0.02)
    assert not any(bias.any() for bias in first.biases)
    # The stream that the published exercise draws from.
    random = np.random.RandomState(1)
    np.testing.assert_array_equal(first.weights[0], random.randn(300, 400) / np.sqrt(400))
    np.testing.assert_array_equal(first.weights[1], random.randn(1, 300) / np.sqrt(300))


def test_creating_leaves_the_global_generator_alone() -> None:
    np.random.seed(3)  # noqa: NPY002 - the global state is what must stay
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    Network.create((4, 3, 1))
    assert np.random.rand() == expected  # noqa: NPY002


def test_a_sigmoid_does_not_overflow() -> None:
    out = sigmoid(np.array([-1e4, -1.0, 0.0, 1.0, 1e4]))
    np.testing.assert_allclose(out, [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1], rtol=1e-15)


@pytest.mark.parametrize(
    ("widths", "kind", "message"),
    [
        ((4, 0, 1), ValueError, "widths: expected .* at least 1, got \\(4, 0, 1\\); leave a layer out"),
        ((0, 3, 1), ValueError, "at least 1"),
        ((4, -2, 1), ValueError, "at least 1"),
        ((1,), ValueError, "widths: expected the inputs and the units"),
        ((4, 3, 2), ValueError, "widths: expected 1 at the end"),
        ((4, 2.5, 1), TypeError, "widths: expected an integer, got float"),
        ("4-1", TypeError, "widths: expected integers such as"),
        (7, TypeError, "widths: expected integers such as"),
    ],
)
def test_bad_widths(widths: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Network.create(widths)  # type: ignore[arg-type]


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"weights, biases: expected .* got \[\(2, 3\), \(1, 4\)\]"):
        Network([np.zeros((2, 3)), np.zeros((1, 4))], [np.zeros(2), np.zeros(1)])
    with pytest.raises(ValueError, match="weights, biases: expected"):
        Network([], [])
    with pytest.raises(ValueError, match="weights: expected an output of one unit, got 2"):
        Network([np.zeros((2, 3))], [np.zeros(2)])
    with pytest.raises(
        ValueError, match=r"x: expected shape \(N, 3\), got \(3,\); neurocensus.scratch.flatten"
    ):
        Network([np.zeros((1, 3))], [np.zeros(1)]).predict(np.zeros(3))
    with pytest.raises(ValueError, match="arrays: expected the weights and biases of hidden1"):
        Network.from_arrays({"hidden1.weight": np.zeros((2, 3))})


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    network = Network.create((5, 4, 3, 1))
    network.save(path)
    again = Network.load(path)
    x = np.random.default_rng(0).standard_normal((7, 5))
    np.testing.assert_array_equal(again.predict(x), network.predict(x))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="expected a whole file of format 'neurocensus network'"):
        Network.load(path)
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "none")
