"""Networks that are trained together are those that are trained one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocensus.data import open_pair
from neurocensus.scratch import Network, fit
from neurocensus.sweeps import Problem, Trained, train_together

from ..conftest import shared_data
from ..scratch.test_descent import examples

HIDDEN = st.integers(0, 3).flatmap(
    lambda depth: st.lists(
        st.lists(st.integers(1, 8), min_size=depth, max_size=depth), min_size=1, max_size=5
    )
)


def assert_equal(found: Trained, network: Network, went: Any, **tolerance: float) -> None:
    """The same weights and the same history."""
    assert found.network is not None
    for mine, its in zip(found.network.to_arrays().values(), network.to_arrays().values(), strict=True):
        np.testing.assert_allclose(mine, its, **tolerance)
    assert found.descent.iterations == went.iterations
    assert found.descent.diverged == went.diverged
    np.testing.assert_allclose(found.descent.costs, went.costs, **tolerance)


@settings(max_examples=25)
@given(HIDDEN, st.integers(1, 30), st.integers(0, 999), st.data())
def test_the_batch_is_one_by_one(
    hidden: list[list[int]], inputs: int, seed: int, data: st.DataObject
) -> None:
    """Of any widths, learning rates and frozen layers, with more inputs than examples and with fewer."""
    x, y = examples(inputs, count=data.draw(st.integers(2, 20)), seed=seed)
    starts = [Network.create((inputs, *units, 1), seed=seed + n) for n, units in enumerate(hidden)]
    rates = [data.draw(st.sampled_from([0.001, 0.01, 0.1])) for _ in starts]
    frozen = [data.draw(st.sets(st.sampled_from(network.layer_names))) for network in starts]
    before = [network.to_arrays() for network in starts]
    found = train_together(starts, x, y, learning_rates=rates, iterations=30, frozen=frozen, record_every=7)
    for start, kept in zip(starts, before, strict=True):
        for name, array in start.to_arrays().items():
            np.testing.assert_array_equal(array, kept[name])
    for start, rate, names, one in zip(starts, rates, frozen, found, strict=True):
        network = start.copy()
        went = fit(network, x, y, learning_rate=rate, iterations=30, frozen=names, record_every=7)
        assert_equal(one, network, went, rtol=1e-9, atol=1e-12)
        for name in names:
            for part in ("weight", "bias"):  # to the bit: nothing was added to them
                array = one.network.to_arrays()[f"{name}.{part}"] if one.network else None
                np.testing.assert_array_equal(array, start.to_arrays()[f"{name}.{part}"])


def test_networks_that_diverge_leave_the_others_alone() -> None:
    x, y = examples(5, count=40)
    starts = [Network.create((5, 20, 20, 1), seed=seed) for seed in range(3)]
    rates = [1e30, 0.05, 1e3]
    found = train_together(starts, x, y, learning_rates=rates, iterations=100, record_every=10)
    assert found[0].network is None
    for start, rate, one in zip(starts, rates, found, strict=True):
        network = start.copy()
        went = fit(network, x, y, learning_rate=rate, iterations=100, record_every=10)
        assert (one.descent.iterations, one.descent.diverged) == (went.iterations, went.diverged)
    assert [one.descent.diverged for one in found] == [10, None, 100]
    alone = train_together(starts[1:2], x, y, learning_rates=rates[1:2], iterations=100, record_every=10)
    assert alone[0].network is not None
    assert_equal(found[1], alone[0].network, alone[0].descent, rtol=1e-12, atol=0)


def test_float32_is_near() -> None:
    x, y = examples(40, count=20)
    starts = [Network.create((40, 6, 1), seed=seed) for seed in range(2)]
    exact, near = (
        train_together(starts, x, y, learning_rates=[0.1, 0.2], iterations=50, dtype=dtype)
        for dtype in ("float64", "float32")
    )
    for a, b in zip(exact, near, strict=True):
        assert a.network is not None
        assert_equal(b, a.network, a.descent, rtol=1e-3, atol=1e-5)
        assert a.descent.costs != b.descent.costs


class Killed(Exception):
    """In place of a signal."""


def test_a_checkpoint_is_gone_on_from_bit_for_bit(tmp_path: Path) -> None:
    x, y = examples(9, count=15)
    starts = [Network.create((9, 4, 3, 1), seed=seed) for seed in range(3)]
    options: dict[str, Any] = {"learning_rates": [0.1, 1e30, 0.3], "iterations": 50, "record_every": 10}
    whole = train_together(starts, x, y, **options)
    path = tmp_path / "checkpoint"
    resumed = []

    def kill(done: int) -> None:
        resumed.append(done)
        if done == 30:
            raise Killed

    with pytest.raises(Killed):
        train_together(starts, x, y, **options, checkpoint=path, checkpoint_seconds=-1, progress=kill)
    assert resumed == [0, 10, 20, 30]
    resumed.clear()
    again = train_together(starts, x, y, **options, checkpoint=path, progress=resumed.append)
    assert resumed == [30, 40, 50]
    for a, b in zip(whole, again, strict=True):
        assert a.descent == b.descent or np.isnan(a.descent.costs[-1])
        if a.network is not None and b.network is not None:
            for mine, its in zip(a.network.weights, b.network.weights, strict=True):
                np.testing.assert_array_equal(mine, its)
    # Of another training, or damaged: not used.
    for change in ({"learning_rates": [0.1, 1e30, 0.31]}, {"iterations": 40}):
        resumed.clear()
        train_together(starts, x, y, **{**options, **change}, checkpoint=path, progress=resumed.append)
        assert resumed[0] == 0
    path.write_bytes(path.read_bytes()[:100])
    resumed.clear()
    train_together(starts, x, y, **options, checkpoint=path, progress=resumed.append)
    assert resumed[0] == 0


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"networks": []}, ValueError, "networks: expected at least one, got none"),
        (
            {"networks": [Network.create((3, 2, 1)), Network.create((3, 1))]},
            ValueError,
            "one number of layers",
        ),
        ({"networks": [Network.create((4, 1)), Network.create((4, 1))]}, ValueError, "expected 3 inputs"),
        ({"learning_rates": [0.1]}, ValueError, "learning_rates: expected 2, one for each network, got 1"),
        ({"learning_rates": [0.1, 0]}, ValueError, "learning_rate: expected a finite number above 0"),
        ({"frozen": [()]}, ValueError, "frozen: expected 2"),
        ({"frozen": [(), ("hidden9",)]}, ValueError, "frozen: no layer 'hidden9'"),
        ({"dtype": "int8"}, ValueError, "dtype: expected float64 or float32, got 'int8'"),
        ({"device": "nowhere"}, ValueError, "device: expected one that is available here, got nowhere"),
        ({"y": np.zeros(12, int)}, ValueError, "y: expected examples of both classes"),
    ],
)
def test_bad_input(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    x, y = examples(3)
    options: dict[str, Any] = {
        "networks": [Network.create((3, 2, 1)), Network.create((3, 4, 1))],
        "x": x, "y": y, "learning_rates": [0.1, 0.2], "iterations": 2,
    }  # fmt: skip
    with pytest.raises(kind, match=message):
        train_together(**{**options, **change})


@pytest.mark.data
def test_the_published_baseline_on_the_real_images() -> None:
    """0.986 on the training images and 0.80 on the test images, as published (table 4.1: 0.8)."""
    problem = Problem.of(open_pair(shared_data("catvnoncat.npz")))
    network = Network.create((problem.inputs, 20, 7, 5, 1), seed=1)
    (found,) = train_together([network], *problem.train, learning_rates=[0.0075])
    assert found.network is not None
    train, test = (((found.network.predict(x) > 0.5) == y).mean() for x, y in problem)
    assert (round(train, 3), test) == (0.986, 0.8)
    assert found.descent.costs[-1] == pytest.approx(0.0884, abs=1e-3)


@pytest.mark.data
def test_on_the_real_images_the_batch_is_one_by_one() -> None:
    """The Gram matrix is 209 wide, the images have 12288 numbers."""
    problem = Problem.of(open_pair(shared_data("catvnoncat.npz")))
    starts = [Network.create((problem.inputs, units, 7, 5, 1), seed=1) for units in (3, 20)]
    found = train_together(starts, *problem.train, learning_rates=[0.0075, 0.0075], iterations=30)
    for start, one in zip(starts, found, strict=True):
        went = fit(start, *problem.train, iterations=30)
        assert_equal(one, start, went, rtol=1e-9, atol=1e-12)


@pytest.mark.cuda
def test_on_a_gpu_it_is_the_same() -> None:
    x, y = examples(40, count=20)
    starts = [Network.create((40, 6, 5, 1), seed=seed) for seed in range(2)]
    here, there = (
        train_together(starts, x, y, learning_rates=[0.1, 0.2], iterations=50, device=device)
        for device in ("cpu", torch.device("cuda"))
    )
    for a, b in zip(here, there, strict=True):
        assert a.network is not None
        assert_equal(b, a.network, a.descent, rtol=1e-9, atol=1e-12)
