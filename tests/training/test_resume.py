"""Killed, out of disk, damaged: a training goes on where it was, or says why not."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurocensus.data import Examples
from neurocensus.training import History, Settings, checkpoint, fit, loop
from neurocensus.weights import read_weights

from .samples import net, noise, pictures, same, weights

pytestmark = pytest.mark.usefixtures("no_picture")
SETTINGS = Settings(3, 3e-3, batch_size=10)
TRAIN, VALIDATION = pictures(38), pictures(10, seed=1)
ROOT = Path(__file__).parents[2]


def train(model: nn.Module, folder: Path, **options: Any) -> History:
    return fit(model, TRAIN, VALIDATION, SETTINGS, folder=folder, augment=noise, **options)


class Stop(Exception):
    """Ends a training from within."""


def stopped_at(folder: Path, epoch: int, step: int, model: nn.Module | None = None, **options: Any) -> None:
    """Leave a training that was stopped before that step ended, with a checkpoint after each step before."""

    def stop(*now: int) -> None:
        if now[:2] == (epoch, step):
            raise Stop

    with pytest.raises(Stop):
        train(net() if model is None else model, folder, on_step=stop, **{"checkpoint_seconds": 0, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The training without a break."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = net()
    history = train(model, tmp_path_factory.mktemp("whole"))
    torch.set_num_threads(threads)
    return {"weights": weights(model), "rows": [{**row, "seconds": 0} for row in history.rows]}


def is_whole(model: nn.Module, history: History, whole: dict[str, Any]) -> bool:
    return same(weights(model), whole["weights"]) and whole["rows"] == [
        {**r, "seconds": 0} for r in history.rows
    ]


def test_a_training_that_is_killed_ends_as_if_it_was_not(tmp_path: Path) -> None:
    """At random sites around file operations and steps, and at random times: see killing.py."""
    nightly = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
    seed, jobs = (int.from_bytes(os.urandom(4), "big"), 500) if nightly else (0, 8)
    run = subprocess.run(
        [sys.executable, "-m", "tests.training.killing", str(tmp_path), str(seed), str(jobs)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"jobs": jobs, "complaints": []}, f"seed {seed}"


@settings(max_examples=8)
@given(epoch=st.integers(1, 3), step=st.integers(1, 4), momentum=st.sampled_from(["sgd", "adam"]))
def test_every_optimizer_goes_on(
    epoch: int, step: int, momentum: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen = Settings(3, 3e-3, batch_size=10, optimizer=momentum)
    folder = tmp_path_factory.mktemp("run")

    def stop(*now: int) -> None:
        if now[:2] == (epoch, step):
            raise Stop

    once, again = net(), net(seed=0 if (epoch, step) == (1, 1) else 4)
    fit(once, TRAIN, VALIDATION, chosen, folder=folder / "once")
    with pytest.raises(Stop):
        fit(net(), TRAIN, VALIDATION, chosen, folder=folder / "x", on_step=stop, checkpoint_seconds=0)
    fit(again, TRAIN, VALIDATION, chosen, folder=folder / "x")
    assert same(weights(once), weights(again))


def test_no_step_is_done_twice(tmp_path: Path) -> None:
    stopped_at(tmp_path, 2, 3)
    steps: list[tuple[int, int]] = []
    train(net(), tmp_path, on_step=lambda *step: steps.append(step[:2]))
    assert steps == [(2, 3), (2, 4), (3, 1), (3, 2), (3, 3), (3, 4)]


def test_layouts_of_memory_survive(tmp_path: Path) -> None:
    """The optimizer's state lies in memory as the weights do."""
    found = []
    for folder in ("once", "twice"):
        model = net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if folder == "twice":
            stopped_at(tmp_path / folder, 2, 2, model)
            model = net(seed=3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        train(model, tmp_path / folder)
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
        found.append(weights(model))
    assert same(*found)


def test_what_a_step_draws_is_drawn_once(tmp_path: Path) -> None:
    """A function called at each step may draw random numbers: they come before the checkpoint."""

    def draws(epoch: int, step: int, steps: int) -> None:
        torch.rand(step)
        if left and (epoch, step) == left[0]:
            left.pop()
            raise Stop

    left: list[tuple[int, int]] = []
    once, twice = net(), net()
    train(once, tmp_path / "once", on_step=draws)
    left = [(2, 3)]
    with pytest.raises(Stop):
        train(twice, tmp_path / "twice", on_step=draws, checkpoint_seconds=0)
    train(twice, tmp_path / "twice", on_step=draws)
    assert same(weights(once), weights(twice))


def test_seconds_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    stopped_at(tmp_path, 1, 4)
    steps_before = checkpoint.peek(tmp_path / "checkpoint.safetensors", "neurocensus.checkpoint")
    assert steps_before is not None
    before = steps_before["seconds"]
    assert before > 0
    clock = iter(range(10**6))
    history = train(net(), tmp_path)
    assert history.rows[0]["seconds"] > before


class Disk:
    """A disk that is full from the n-th file on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        write = Path.write_bytes

        def write_bytes(path: Path, content: bytes) -> int:
            self.room -= 1
            if self.room < 0:
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(path, content)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)


@pytest.mark.parametrize("room", range(0, 22, 3))
def test_a_full_disk(
    room: int, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, room)
    with pytest.raises(OSError, match="No space left on device") as caught:
        train(net(), tmp_path, checkpoint_seconds=0)
    assert caught.value.errno == errno.ENOSPC
    assert Path(caught.value.filename).parent == tmp_path
    kept = "the last good checkpoint.safetensors is untouched" if room else "there is no checkpoint yet"
    assert kept in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    disk.room = 10**6
    model = net(seed=9 if room else 0)
    assert is_whole(model, train(model, tmp_path), whole)


def test_a_full_disk_at_the_very_end(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All epochs are done: only the last weights and the picture are missing, and no step is repeated."""
    disk = Disk(monkeypatch, 10**6)

    def fill(epoch: int, model: nn.Module) -> dict[str, float]:
        if epoch == 3:
            disk.room = 3  # checkpoint, best, history
        return {}

    with pytest.raises(OSError, match=r"No space left on device .*last\.safetensors"):
        train(net(), tmp_path, callbacks=[fill])
    disk.room = 10**6
    model = net(seed=9)
    history = train(model, tmp_path, on_step=lambda *_: pytest.fail("trained"))
    assert is_whole(model, history, whole)
    assert (tmp_path / "last.safetensors").exists()


@pytest.mark.parametrize("damage", ["shorter", "other", "empty", "foreign"])
def test_a_damaged_checkpoint(damage: str, tmp_path: Path) -> None:
    stopped_at(tmp_path, 2, 3)
    path = tmp_path / "checkpoint.safetensors"
    content = path.read_bytes()
    path.write_bytes(
        {
            "shorter": content[:-1],
            "other": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
            "empty": b"",
            "foreign": (tmp_path / "best.safetensors").read_bytes(),
        }[damage]
    )
    model = net(seed=5)
    before = weights(model)
    with pytest.raises(
        ValueError, match=r"expected a whole file of format 'neurocensus\.checkpoint'"
    ) as caught:
        train(model, tmp_path)
    assert str(path) in str(caught.value)
    assert f"Put back a copy of this file if you have one, or delete the folder {tmp_path}" in str(
        caught.value
    )
    assert same(weights(model), before)


def test_lost_best_weights(tmp_path: Path, whole: dict[str, Any]) -> None:
    """They are written again where they can be, and asked for in vain where not."""
    stopped_at(tmp_path / "a", 2, 1)
    (tmp_path / "a" / "best.safetensors").unlink()
    model = net(seed=9)
    assert is_whole(model, train(model, tmp_path / "a", restore="best"), whole)  # the last epoch is the best

    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "best.safetensors").unlink()
    train(model, tmp_path / "b", restore="best")  # the checkpoint is of the best epoch
    assert same(weights(model), whole["weights"])

    damaged = bytearray((tmp_path / "a" / "best.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "a" / "best.safetensors").write_bytes(damaged)
    train(model, tmp_path / "a")
    with pytest.raises(
        ValueError, match=r"best\.safetensors: expected a whole file .*Put back a copy of this file"
    ):
        train(model, tmp_path / "a", restore="best")


def overfitted() -> Examples:
    """By these the first epoch is the best."""
    return replace(VALIDATION, labels=1 - VALIDATION.labels)


@pytest.mark.parametrize(
    "due", [(1, 0), (1, 2)], ids=["at the end of the best epoch", "in the epoch after the best"]
)
def test_best_weights_that_were_not_written_in_time(
    due: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or the process killed, between the first checkpoint and the best weights."""
    best: list[dict[str, Any]] = []
    monkeypatch.setattr(loop._Training, "_is_due", lambda self, within: (len(self.rows), self.step) == due)

    def keep(epoch: int, model: nn.Module) -> dict[str, float]:
        best.append(weights(model))
        return {}

    def go_on(model: nn.Module, folder: Path, **options: Any) -> History:
        return fit(model, TRAIN, overfitted(), SETTINGS, folder=folder, augment=noise, **options)

    disk = Disk(monkeypatch, room=1)
    with pytest.raises(OSError, match=r"No space left on device .*best\.safetensors"):
        go_on(net(), tmp_path, callbacks=[keep])
    disk.room = 10**6
    model = net(seed=4)
    assert go_on(model, tmp_path, restore="best").best["epoch"] == 1
    assert same(weights(model), best[0])
    assert same(read_weights(tmp_path / "best.safetensors"), best[0])


def test_best_weights_that_cannot_be_had(tmp_path: Path) -> None:
    wrong = overfitted()
    fit(net(), TRAIN, wrong, SETTINGS, folder=tmp_path, checkpoint_seconds=0)
    assert History.load(tmp_path).best["epoch"] == 1
    (tmp_path / "best.safetensors").unlink()
    fit(net(), TRAIN, wrong, SETTINGS, folder=tmp_path)
    with pytest.raises(
        ValueError, match="expected the best weights, but they were gone when the training went on"
    ):
        fit(net(), TRAIN, wrong, SETTINGS, folder=tmp_path, restore="best")


def test_what_the_checkpoint_knows_is_made_again(tmp_path: Path, whole: dict[str, Any]) -> None:
    history = train(net(), tmp_path)
    for name in ("history.jsonl", "last.safetensors", "training.png"):
        (tmp_path / name).unlink()
    train(net(), tmp_path)
    assert (tmp_path / "training.png").exists()
    assert History.load(tmp_path) == history
    assert same(read_weights(tmp_path / "last.safetensors"), whole["weights"])


def test_short_epochs_share_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves: list[int] = []
    save = loop._Training._save
    monkeypatch.setattr(loop._Training, "_save", lambda self: (saves.append(len(self.rows)), save(self)))
    train(net(), tmp_path / "short")
    assert saves == [3]
    saves.clear()
    monkeypatch.setattr(loop, "EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", float("inf"))
    train(net(), tmp_path / "long")
    assert saves == [1, 2, 3]


@pytest.mark.cuda
def test_the_generator_of_the_gpu_goes_on_too(tmp_path: Path) -> None:
    """Dropout draws from it: the losses of a training that was stopped are those of one that was not."""
    gpu = Settings(3, 3e-3, batch_size=10, device="cuda")

    def stop(*now: int) -> None:
        if now[:2] == (2, 2):
            raise Stop

    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.Dropout(0.5), nn.Linear(16, 1), nn.Sigmoid())
    state = weights(model)
    once = fit(model, TRAIN, VALIDATION, gpu, folder=tmp_path / "once")
    model.load_state_dict(state)
    with pytest.raises(Stop):
        fit(model, TRAIN, VALIDATION, gpu, folder=tmp_path / "x", on_step=stop, checkpoint_seconds=0)
    twice = fit(model, TRAIN, VALIDATION, gpu, folder=tmp_path / "x")
    assert twice.column("loss") == pytest.approx(once.column("loss"), rel=1e-5)


def test_the_best_weights_of_another_training_are_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Settings(3, 1e-2, batch_size=10)
    fit(net(seed=8), TRAIN, overfitted(), other, folder=tmp_path, checkpoint_seconds=0)
    (tmp_path / "checkpoint.safetensors").unlink()
    disk = Disk(monkeypatch, room=6)  # four steps, the history, the first epoch
    with pytest.raises(OSError, match=r"No space left on device .*best\.safetensors"):
        fit(net(), TRAIN, overfitted(), SETTINGS, folder=tmp_path, checkpoint_seconds=0)
    disk.room = 10**6
    model, wanted = net(), net()
    fit(model, TRAIN, overfitted(), SETTINGS, folder=tmp_path, restore="best")
    fit(wanted, TRAIN, overfitted(), SETTINGS, folder=tmp_path / "x", restore="best")
    assert same(weights(model), weights(wanted))
    assert same(
        read_weights(tmp_path / "last.safetensors"), read_weights(tmp_path / "x" / "last.safetensors")
    )
