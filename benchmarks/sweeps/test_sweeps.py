"""A sweep of the investigation: networks trained together, beside the same networks trained one by one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.sizes import size
from neurocensus.scratch import Network, fit
from neurocensus.sweeps import Baseline, Sweep, learning_rate_sweep, train_together, width_sweep

IMAGES, INPUTS = size((209, 64 * 64 * 3), (40, 8 * 8 * 3))
ITERATIONS = size(250, 5)
"""A tenth of the published ones: what is done once, before and after them, weighs ten times as much here."""
SAMPLE = slice(5, None, 10)
"""One by one, every tenth of the 50 networks is trained: of widths 6, 16, ..., 46."""
BASELINE = Baseline("benchmark", INPUTS, iterations=ITERATIONS)
SWEEPS = {
    "learning rate": learning_rate_sweep(BASELINE),
    "hidden1": width_sweep(BASELINE, 1),
    "hidden2": width_sweep(BASELINE, 2),
    "hidden3": width_sweep(BASELINE, 3),
}


@pytest.mark.benchmark(group="sweeps")
@pytest.mark.parametrize("name", SWEEPS)
def test_sweep(record: Recorder, name: str) -> None:
    """50 networks on 209 images of 64 x 64 x 3 numbers, float64."""
    sweep = SWEEPS[name]
    random = np.random.default_rng(0)
    x = random.random((IMAGES, INPUTS))
    y = random.integers(0, 2, IMAGES)
    starts = [baseline.build() for baseline in sweep.baselines]
    rates = [baseline.learning_rate for baseline in sweep.baselines]
    one_by_one: list[Network] = []

    def sample() -> None:
        one_by_one[:] = _one_by_one(sweep, x, y)

    turns = record.turns(
        {
            "together": lambda: train_together(starts, x, y, learning_rates=rates, iterations=ITERATIONS),
            "one by one": sample,
        },
        rounds=3,
        warmup=0,  # seconds of work each
    )
    together = train_together(starts, x, y, learning_rates=rates, iterations=ITERATIONS)
    for found, expected in zip(together[SAMPLE], one_by_one, strict=True):
        assert found.network is not None
        for mine, its in zip(found.network.weights, expected.weights, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-7, atol=1e-9)
    record.ratio(
        "times faster than one by one",
        turns.ratio("one by one", "together").times(len(starts) / len(one_by_one)),
        better="higher",
        target="sweeps",
    )
    record.note(
        networks=len(starts),
        networks_one_by_one=len(one_by_one),
        ms_per_iteration=1e3 * turns.median("together") / ITERATIONS,
        ms_per_iteration_of_one=1e3 * turns.median("one by one") / ITERATIONS / len(one_by_one),
    )


def _one_by_one(sweep: Sweep, x: np.ndarray, y: np.ndarray) -> list[Network]:
    networks = []
    for baseline in sweep.baselines[SAMPLE]:
        networks.append(baseline.build())
        fit(networks[-1], x, y, learning_rate=baseline.learning_rate, iterations=ITERATIONS)
    return networks
