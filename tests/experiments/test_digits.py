"""The demo: five models on scanned digits, three of them transferred from other digits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import neurocensus as nc
from neurocensus.cli import app
from neurocensus.experiments import digits, study
from neurocensus.threads import torch_threads

NAMES = [f"digits-{k}" for k in range(1, 6)]


def test_the_target_is_poor_and_shares_nothing_with_the_source() -> None:
    target = digits.load_splits(digits.TARGET, digits.TRAIN_PER_CLASS, digits.VALIDATION_PER_CLASS, seed=0)
    source = digits.load_splits(digits.SOURCE, None, digits.VALIDATION_PER_CLASS, seed=0)
    assert not set(target.train.classes) & set(source.train.classes)
    for splits in (source, target):
        scans = np.concatenate([part.inputs.reshape(len(part), -1) for part in splits])
        labels = np.concatenate([part.labels for part in splits])
        assert len(scans) == len(labels)
        assert {float(scans.min()), float(scans.max())} == {0.0, 1.0}
    assert sum(map(len, source)) + sum(map(len, target)) == 1797
    assert np.bincount(target.train.labels).tolist() == [20] * 5
    assert len(source.train) > 5 * len(target.train)


def test_a_split_is_fixed_by_its_seed() -> None:
    first, again, other = (
        digits.load_splits((0, 1), 20, 20, seed=seed).train.fingerprint for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[digits.Trial]:
    with torch_threads(1):
        return digits.trials(tmp_path_factory.mktemp("digits"), epochs=1, progress=False)


def test_what_trains_in_each_model(trials: list[digits.Trial]) -> None:
    frozen, tuned = (trial.build() for trial in trials[3:])
    assert {n for n, p in frozen.named_parameters() if not p.requires_grad} == {
        "backbone.conv1.weight", "backbone.conv1.bias", "backbone.conv2.weight", "backbone.conv2.bias"
    }  # fmt: skip
    assert {n for n, p in tuned.named_parameters() if not p.requires_grad} == {
        "backbone.conv1.weight", "backbone.conv1.bias"
    }  # fmt: skip
    assert torch.equal(frozen.backbone.conv2.weight, tuned.backbone.conv2.weight)
    assert [trial.augment is not None for trial in trials] == [False, True, False, True, True]


def test_a_build_is_the_same_at_every_call_and_disturbs_nothing(trials: list[digits.Trial]) -> None:
    before = torch.get_rng_state()
    for trial in trials:
        first, again = trial.build().state_dict(), trial.build().state_dict()
        assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_study_has_all_five(trials: list[digits.Trial], tmp_path: Path) -> None:
    with torch_threads(1):
        done = study.run("Digits", trials, tmp_path, progress=False)
    assert list(done.finished) == NAMES
    units = [outcome.units for outcome in done.outcomes]
    assert units == [421, 421, 261, 1285, 1285]  # a backbone counts as one layer of 1024
    assert all(outcome.examples == len(trials[0].splits().test) for outcome in done.outcomes)
    assert done.relations()["nnu", "accuracy"].models == 5


def test_a_few_epochs_learn_the_digits(tmp_path: Path) -> None:
    with torch_threads(1):
        trials = digits.trials(tmp_path, epochs=8, progress=False)
        done = study.run("Digits", trials, tmp_path, progress=False)
    accuracies = [outcome.accuracy for outcome in done.outcomes]
    assert min(accuracies) > 0.7
    assert accuracies[2] > 0.9  # what the source network knows is of use


def test_the_command_leaves_reports_and_says_how_to_read_them(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = CliRunner().invoke(app, ["demo", "--out", str(out), "--epochs", "1"])
    assert result.exit_code == 0, result.output
    for line in ("digits-1 - basic cnn", "digits-5 - tl img aug ft cnn", "NNU", "skewness"):
        assert line in result.stdout
    assert "lower is better" in result.stdout
    assert (out / "report.html").stat().st_size > 10_000
    for name in NAMES:
        audit = nc.load(out / name / "audit.safetensors")
        assert 0 < audit.annotations["accuracy"] <= 1
        assert (out / name / "report.html").exists()


def test_without_scikit_learn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 2
    assert "pip install 'neurocensus[demo]'" in result.output
    assert not (tmp_path / "demo").exists()
