"""Sweeps from the plan to the table."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from neurocensus.assessment import confusion
from neurocensus.scratch import audit, fit
from neurocensus.sweeps import (
    Baseline,
    Part,
    Problem,
    Sweep,
    freeze_every_way,
    learning_rate_sweep,
    run,
    width_sweep,
)

from ..scratch.test_descent import examples

PROBLEM = Problem(*(Part(x, y.astype(float)) for x, y in (examples(6, 30, seed=1), examples(6, 20, seed=2))))
BASELINE = Baseline("toy", 6, hidden=(5, 4), learning_rate=0.1, iterations=200)


def test_a_record_says_what_the_network_alone_would() -> None:
    sweep = width_sweep(BASELINE, 1, [2, 9])
    table = run([sweep], PROBLEM)
    assert (table.networks, table.sweeps) == (("toy",), ("hidden1",))
    for record, value, baseline in zip(table.records, sweep.values, sweep.baselines, strict=True):
        network = baseline.build()
        went = fit(network, *PROBLEM.train, learning_rate=0.1, iterations=200)
        assert record["value"] == value
        assert record["widths"] == f"6-{int(value)}-4-1"
        assert (record["units"], record["iterations"], record["learning_rate"]) == (value + 5, 200, 0.1)
        assert record["diverged"] is None
        assert record["cost"] == pytest.approx(went.costs[-1], rel=1e-9)
        for part, (x, y) in zip(("train", "test"), PROBLEM, strict=True):
            for name, metric in confusion(y.astype(int), network.predict(x)).metrics().items():
                assert record[f"{part}_{name}"] == pytest.approx(metric, nan_ok=True), name
            census = audit(network, x)
            assert (record[f"{part}_nnu"], record[f"{part}_dead"]) == (census.nnu, census.dead)


def test_a_rate_that_diverges_is_marked_and_the_sweep_goes_on() -> None:
    table = run([learning_rate_sweep(BASELINE, [1e200, 0.1])], PROBLEM)
    lost, fine = table.records
    assert lost["diverged"] == 100
    assert not math.isfinite(lost["cost"])
    assert all(math.isnan(lost[key]) for key in ("train_accuracy", "test_nnu", "test_cohens_kappa"))
    assert fine["diverged"] is None
    assert fine["train_accuracy"] > 0.9


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    sweeps = [learning_rate_sweep(BASELINE, [1e30, 0.1]), width_sweep(BASELINE, 2, [1, 3])]
    started: list[str] = []

    def on_start(sweep: Sweep) -> None:
        started.append(sweep.name)

    first = run(sweeps, PROBLEM, folder=tmp_path, on_start=on_start)
    assert started == ["learning_rate", "hidden2"]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["toy-hidden2.json", "toy-learning_rate.json"]
    again = run(sweeps, PROBLEM, folder=tmp_path, on_start=on_start)
    assert len(started) == 2
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    # Damaged: made again. On other data: made again.
    (tmp_path / "toy-hidden2.json").write_text('{"key": ')
    run(sweeps, PROBLEM, folder=tmp_path, on_start=on_start)
    assert started[2:] == ["hidden2"]
    other = PROBLEM._replace(test=Part(PROBLEM.test.x + 1, PROBLEM.test.y))
    assert run(sweeps, other, folder=tmp_path, on_start=on_start).records[1] != first.records[1]
    assert started[3:] == ["learning_rate", "hidden2"]


def test_progress_is_told() -> None:
    told: list[int] = []
    run([learning_rate_sweep(BASELINE, [0.1])], PROBLEM, on_start=lambda sweep: told.append)
    assert told == [0, 100, 200]


def test_two_sweeps_of_one_name() -> None:
    with pytest.raises(
        ValueError, match="sweeps: expected each under its own name, got toy-hidden1, toy-hidden1"
    ):
        run([width_sweep(BASELINE, 1, [1]), width_sweep(BASELINE, 1, [2])], PROBLEM)


def test_every_way_to_freeze() -> None:
    records = freeze_every_way(BASELINE, PROBLEM)
    assert len(records) == 8
    assert len({tuple(record["frozen"]) for record in records}) == 8
    assert all(record["layers"] == ["hidden1", "hidden2", "output"] for record in records)
    first, *_, last = records
    assert (first["frozen"], last["frozen"]) == ([], ["hidden1", "hidden2", "output"])
    untrained = BASELINE.build()
    assert last["train_accuracy"] == np.mean((untrained.predict(PROBLEM.train.x) > 0.5) == PROBLEM.train.y)
    assert first["cost"] == min(record["cost"] for record in records)
    with pytest.raises(ValueError, match="baseline: expected at most 10 layers, got 12"):
        freeze_every_way(Baseline("deep", 6, hidden=(2,) * 11), PROBLEM)
