"""The demo: two trainings that differ in regularisation alone, and what it leaves."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from neurocensus import storage
from neurocensus.cli import app
from neurocensus.experiments import digits


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    return digits.load_digits()


def test_the_split_is_whole_fixed_and_stratified(data: digits.Digits) -> None:
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert torch.equal(digits.load_digits().test_images, data.test_images)
    shares = [
        torch.bincount(labels, minlength=10) / len(labels) for labels in (data.train_labels, data.test_labels)
    ]
    assert torch.allclose(*shares, atol=0.003)
    assert data.train_images.shape[1:] == (1, 8, 8)
    assert (float(data.train_images.min()), float(data.train_images.max())) == (0, 1)


@pytest.mark.parametrize("name", sorted(digits.RECIPES))
def test_training_is_decided_by_its_seed_and_disturbs_nothing(data: digits.Digits, name: str) -> None:
    recipe, before, threads = digits.RECIPES[name], torch.get_rng_state(), torch.get_num_threads()
    first, again, other = (
        torch.nn.utils.parameters_to_vector(digits.train(recipe, data, seed=seed, epochs=1).parameters())
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_both_start_from_the_same_weights(data: digits.Digits) -> None:
    """And have the same layers: dropout and augmentation are all that differs."""
    plain, regularised = (digits.train(recipe, data, epochs=0) for recipe in digits.RECIPES.values())
    for (name, a), (other, b) in zip(plain.named_parameters(), regularised.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    assert not plain.training


def test_a_few_epochs_learn_the_digits(data: digits.Digits) -> None:
    losses: list[float] = []
    model = digits.train(digits.RECIPES["plain"], data, epochs=6, on_epoch=losses.append)
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 5
    with torch.inference_mode():
        right = model(data.test_images).argmax(1) == data.test_labels
    assert float(right.double().mean()) > 0.93


@given(seed=st.integers(0, 1000), row=st.integers(2, 5), column=st.integers(2, 5))
def test_augmentation_moves_a_dot_by_little_and_keeps_its_light(seed: int, row: int, column: int) -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, row, column] = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        moved = digits.shifted(image, degrees=10, pixels=1)[0, 0]
    total = float(moved.sum())
    assert 0.5 < total < 1.5  # bilinear weights of one dot; they need not sum to one after a turn
    centre = torch.tensor([float((moved.sum(1 - axis) * torch.arange(8)).sum()) / total for axis in (0, 1)])
    turn = math.hypot(row - 3.5, column - 3.5) * math.radians(10)
    assert float((centre - torch.tensor([row, column])).norm()) < turn + math.sqrt(2) + 0.5


def test_no_augmentation_is_the_identity() -> None:
    images = torch.rand(3, 1, 8, 8)
    assert torch.allclose(digits.shifted(images, degrees=0, pixels=0), images, atol=1e-6)


def test_the_command_leaves_two_audits_and_a_comparison(tmp_path: Path) -> None:
    out = tmp_path / "a démo"
    result = CliRunner().invoke(app, ["demo", "--out", str(out), "--epochs", "2"])
    assert result.exit_code == 0, result.output
    assert all(
        word in result.stdout for word in ("plain", "regularised", "NNU", "accuracy", "skewness", "dead")
    )
    assert str(out / "report.html") in result.stdout
    for folder in (out / "plain", out / "regularised"):
        assert (folder / "report.html").exists()
        assert {path.stem for path in folder.glob("*.png")} == {"spectrum", "range", "dead"}
        audit = storage.load(folder / "audit.safetensors")
        assert audit.examples == 540
        assert 0.3 < float(audit.annotations["accuracy"]) <= 1
        assert not audit.never_fired
    assert {path.stem for path in out.glob("*.png")} == {"nnu", "spectrum", "range"}
    assert (out / "report.html").exists()


def test_without_scikit_learn_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 2
    assert "pip install 'neurocensus[demo]'" in result.stderr
    assert not (tmp_path / "demo").exists()
