"""From the setup to everything that the report shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neurocensus.experiments.investigation import Investigation, run
from neurocensus.experiments.investigation.report import json_text
from neurocensus.scratch import Network, audit, fit
from neurocensus.storage import load

from .samples import pair, setup


def test_the_three_networks_are_those_that_fit_would_give(done: Investigation) -> None:
    problems = done.setup.problems()
    cat = Network.create((75, 20, 7, 5, 1), seed=1)
    fit(cat, *problems["cat"].train, iterations=60)
    np.testing.assert_allclose(done.studied["cat"].network.weights[0], cat.weights[0], rtol=1e-12)
    moved = done.studied["cat to dog"]
    assert moved.network.widths == (75, 20, 7, 5, 20, 7, 5, 1)
    assert moved.descent.iterations[-1] == 60
    for name, one in done.studied.items():
        x, y = problems[name].test
        assert one.confusions["test"].accuracy == ((one.network.predict(x) > 0.5) == y).mean()
        assert one.audit.dead == audit(one.network, x).dead
        assert one.audit.annotations["accuracy"] == one.confusions["test"].accuracy
        assert (one.top.k, one.top.examples) == (9, len(problems[name].train.x))
        assert one.responses.steps[0] == 0
        assert one.responses.steps[-1] == 60
        both = np.concatenate([part.x for part in problems[name]])
        last = one.network.activations(both)["hidden1"].astype(np.float32)
        np.testing.assert_allclose(one.responses.layers["hidden1"][-1], last, rtol=1e-6)
        assert one.responses.inputs[0] == f"training {one.pair.train.classes[0]} 0"
        assert (one.whole.dead, one.whole.examples) == (audit(one.network, both).dead, len(both))


def test_all_sweeps_are_there(done: Investigation) -> None:
    assert done.sweeps is not None
    assert done.frozen_sweeps is not None
    assert done.freezing is not None
    assert done.sweeps.networks == ("cat", "dog", "cat to dog")
    assert len(done.sweeps) == 3 * 4 * 2
    assert len(done.freezing) == 128
    assert len(done.frozen_sweeps.networks) == 16
    assert len(done.frozen_sweeps) == 16 * 4 * 2
    # Nothing frozen is the same in all three, at the baseline.
    free = done.frozen_sweeps.of("nothing").records
    assert [r["cost"] for r in free] == [r["cost"] for r in done.sweeps.of("cat to dog").records]
    # All frozen but the output: what is before it does not change.
    fixed = done.frozen_sweeps.of("source, new 1, new 2, new 3", "learning_rate").records
    assert len({record["train_nnu"] for record in fixed}) == 1


def test_what_is_done_is_not_done_again(tmp_path: Path, done: Investigation) -> None:
    told: list[str] = []
    first = run(setup(only=("sweeps",)), tmp_path, progress=False, on_start=told.append)
    assert len(told) == 3 + 12
    assert first.freezing is None is first.frozen_sweeps
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweeps/*.json")}
    network = tmp_path / "networks" / "cat" / "network.safetensors"
    written = network.stat().st_mtime_ns
    told.clear()
    whole = run(setup(), tmp_path, progress=False, on_start=told.append)
    assert not any("training" in line for line in told)
    assert network.stat().st_mtime_ns == written
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert len([line for line in told if "sweep" in line]) == 16 * 4
    assert json.loads(json_text(whole)) == json.loads(json_text(done))
    assert load(tmp_path / "networks" / "cat-to-dog" / "audit.safetensors").units == 65


@pytest.mark.parametrize("name", ["network.safetensors", "responses.safetensors", "training.json"])
def test_a_damaged_file_is_made_again(tmp_path: Path, name: str) -> None:
    first = run(setup(only=("freezing",), iterations=5), tmp_path, progress=False)
    path = tmp_path / "networks" / "cat" / name
    path.write_bytes(path.read_bytes()[:50])
    again = run(setup(only=("freezing",), iterations=5), tmp_path, progress=False)
    for mine, its in zip(
        again.studied["cat"].network.weights, first.studied["cat"].network.weights, strict=True
    ):
        np.testing.assert_array_equal(mine, its)


def test_other_settings_are_trained_anew(tmp_path: Path) -> None:
    first, second = (
        run(setup(only=("freezing",), iterations=3, seed=seed), tmp_path, progress=False) for seed in (1, 2)
    )
    assert (first.studied["cat"].network.weights[0] != second.studied["cat"].network.weights[0]).any()
    assert second.studied["cat"].descent.iterations[-1] == 3


class Killed(Exception):
    """In place of a signal."""


def test_interrupted_it_goes_on(tmp_path: Path, done: Investigation) -> None:
    def kill(line: str) -> None:
        if line.startswith("dog: 2 networks, sweep of hidden2"):
            raise Killed

    with pytest.raises(Killed):
        run(setup(), tmp_path, progress=False, on_start=kill)
    assert len(list(tmp_path.glob("sweeps/*.json"))) == 6
    again = run(setup(), tmp_path, progress=False)
    assert json.loads(json_text(again)) == json.loads(json_text(done))


def test_the_same_images_under_another_name_are_another_run(tmp_path: Path) -> None:
    first = run(setup(only=("sweeps",), iterations=3), tmp_path, progress=False)
    other = setup(source=pair("cat?", seed=1), only=("sweeps",), iterations=3)
    renamed = run(other, tmp_path, progress=False)
    assert first.sweeps is not None
    assert renamed.sweeps is not None
    assert renamed.sweeps.networks == ("cat?", "dog", "cat? to dog")
    assert renamed.studied["cat?"].responses.inputs[1] == "training cat? 1"
