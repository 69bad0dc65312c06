"""What is swept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocensus.scratch import Network
from neurocensus.sweeps import Baseline, learning_rate_sweep, published_sweeps, width_sweep
from neurocensus.sweeps.plan import LEARNING_RATES, WIDTHS


def test_the_published_sweeps() -> None:
    baseline = Baseline("cat", 12)
    sweeps = published_sweeps(baseline)
    assert [sweep.name for sweep in sweeps] == ["learning_rate", "hidden1", "hidden2", "hidden3"]
    assert [len(sweep.baselines) for sweep in sweeps] == [50] * 4 == [len(sweep.values) for sweep in sweeps]
    rates = sweeps[0].values
    assert rates[0] == pytest.approx(1e-4)
    assert rates[-1] < 1
    np.testing.assert_allclose(np.diff(np.log10(rates)), 4 / 50)
    assert [base.learning_rate for base in sweeps[0].baselines] == list(rates)
    for layer, sweep in enumerate(sweeps[1:]):
        assert sweep.values == tuple(range(1, 51))
        for value, base in zip(sweep.values, sweep.baselines, strict=True):
            hidden = [20, 7, 5]
            hidden[layer] = int(value)
            assert base.hidden == tuple(hidden)
            assert base.learning_rate == 0.0075
        assert sweep.baselines[3].build().widths == (12, *sweep.baselines[3].hidden, 1)


@pytest.mark.parametrize(("scale", "count"), [(0.001, 2), (0.1, 5), (0.5, 25), (1, 50)])
def test_a_scaled_sweep_spans_the_whole_range(scale: float, count: int) -> None:
    rates, *widths = published_sweeps(Baseline("cat", 12), scale)
    assert len(rates.values) == count
    assert (rates.values[0], rates.values[-1]) == (LEARNING_RATES[0], LEARNING_RATES[-1])
    for sweep in widths:
        assert len(set(sweep.values)) == count
        assert (sweep.values[0], sweep.values[-1]) == (WIDTHS[0], WIDTHS[-1])


def test_behind_a_source_its_layers_are_not_swept() -> None:
    source = Network.create((12, 6, 5, 1))
    baseline = Baseline("cat to dog", 12, source=source, frozen=frozenset(["hidden1"]))
    sweep = width_sweep(baseline, 2, [3])
    assert (sweep.name, sweep.baselines[0].build().widths) == ("hidden2", (12, 6, 5, 20, 3, 5, 1))
    assert sweep.baselines[0].frozen == {"hidden1"}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda b: width_sweep(b, 1, [3, 0]), ValueError, "values: expected at least 1, got 0"),
        (lambda b: width_sweep(b, 1, [2.5]), TypeError, "values: expected an integer"),
        (lambda b: width_sweep(b, 4), ValueError, "layer: expected 1 to 3, a hidden layer, got 4"),
        (lambda b: width_sweep(b, 1, []), ValueError, "values: expected at least one"),
        (lambda b: learning_rate_sweep(b, []), ValueError, "values: expected at least one"),
        (lambda b: learning_rate_sweep(b, [0.1, -1]), ValueError, "learning_rate: expected a finite number"),
        (lambda b: published_sweeps(b, 0), ValueError, "scale: expected a share above 0"),
        (lambda b: published_sweeps(b, 1.5), ValueError, "scale: expected a share above 0"),
        (lambda b: Baseline("x", 12, learning_rate=0), ValueError, "learning_rate"),
        (lambda b: Baseline("x", 12, hidden=(3, 0)).build(), ValueError, "widths: .*at least 1"),
        (lambda b: Baseline("x", 12, iterations=-1), ValueError, "iterations"),
        (
            lambda b: Baseline("x", 9, source=Network.create((8, 1))),
            ValueError,
            "source: expected a network of 9",
        ),
    ],
)
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(Baseline("cat", 12))
