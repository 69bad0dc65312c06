"""Scalars in TensorBoard's event files, in W&B's runs, and in a logger that is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurocensus.callbacks.writers import STEP, TensorBoard, Wandb, writers

from .samples import history_in, scalars_in

ONE = {"activations/nnu": 0.25, "activations/nnu/a $x$ é": 0.5, "eval/activations/max": 1.5}


def test_a_logger_is_given_the_scalars(tmp_path: Path) -> None:
    got: list[Any] = []
    (writer,) = writers(
        tmp_path, 0, tensorboard=False, wandb=False, log=lambda scalars, step: got.append((scalars, step))
    )
    writer.write(ONE, 7)
    writer.close()
    assert got == [(ONE, 7)]
    assert list(tmp_path.iterdir()) == []


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("tensorboard")

    def test_scalars_can_be_read_while_the_training_runs(self, tmp_path: Path) -> None:
        (writer,) = writers(tmp_path, 0, tensorboard="auto", wandb="auto", log=None)
        assert isinstance(writer, TensorBoard)
        writer.write(ONE, 10)
        assert scalars_in(tmp_path / "tensorboard") == {tag: {10: value} for tag, value in ONE.items()}
        writer.write({"activations/nnu": 0.75}, 20)
        writer.close()
        assert scalars_in(tmp_path / "tensorboard")["activations/nnu"] == {10: 0.25, 20: 0.75}

    def test_what_came_after_the_checkpoint_is_hidden_when_it_comes_again(self, tmp_path: Path) -> None:
        writer = TensorBoard(tmp_path, 0)
        for step in (10, 20, 30):
            writer.write({"activations/nnu": 0.25}, step)
        writer.close()
        (events,) = tmp_path.iterdir()
        events.rename(
            tmp_path / "events.out.tfevents.1000000000.host.1.0"
        )  # read in the order of their times
        writer = TensorBoard(tmp_path, 20)
        writer.write({"activations/nnu": 0.5}, 25)
        writer.close()
        assert scalars_in(tmp_path)["activations/nnu"] == {10: 0.25, 20: 0.25, 25: 0.5}


class TestWandb:
    @pytest.fixture(autouse=True)
    def _offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("wandb")
        for name, value in {
            "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path),
            "WANDB_CACHE_DIR": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path),
            "WANDB_DATA_DIR": str(tmp_path),
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)

    def test_a_run_of_our_own_is_written_and_ended(self, tmp_path: Path) -> None:
        rows = _run(
            tmp_path,
            "writer = Wandb(folder)\n"
            "writer.write(ONE, 10)\n"
            "writer.write({**ONE, 'activations/nnu': 0.75}, 20)\n"
            "writer.close()\n"
            "assert wandb.run is None\n",
        )
        assert [(row[STEP], row["activations/nnu"]) for row in rows] == [(10, 0.25), (20, 0.75)]
        assert all(
            row[tag] == value for row in rows for tag, value in ONE.items() if tag != "activations/nnu"
        )

    def test_a_run_of_the_user_keeps_its_steps_and_goes_on(self, tmp_path: Path) -> None:
        rows = _run(
            tmp_path,
            "run = wandb.init(dir=folder)\n"
            "writer = writers(folder, 0, tensorboard=False, wandb='auto', log=None)[0]\n"
            "run.log({'loss': 1.0}, step=100)\n"
            "writer.write({'activations/nnu': 0.25}, 10)\n"
            "run.log({'accuracy': 0.5}, step=100)\n"
            "run.log({'loss': 2.0}, step=101)\n"
            "writer.write({'activations/nnu': 0.5}, 20)\n"
            "writer.write({'activations/nnu': 0.75}, 30)\n"
            "writer.close()\n"
            "assert wandb.run is run\n"
            "run.log({'loss': 3.0})\n"
            "run.finish()\n",
        )
        assert [row["loss"] for row in rows if "loss" in row] == [1.0, 2.0, 3.0]
        assert [row["accuracy"] for row in rows if "accuracy" in row] == [0.5]
        assert [(row[STEP], row["activations/nnu"]) for row in rows if STEP in row] == [
            (10, 0.25), (20, 0.5), (30, 0.75),
        ]  # fmt: skip
        assert rows[0]["_step"] == 100
        assert rows[1]["_step"] == 101

    def test_it_is_not_imported_to_find_out_whether_a_run_is_under_way(self) -> None:
        code = (
            "import sys\nfrom pathlib import Path\nfrom neurocensus.callbacks.writers import writers\n"
            "writers(Path('.'), 0, tensorboard=False, wandb='auto', log=None)\n"
            "print('wandb' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False"]


def _run(folder: Path, code: str) -> list[dict[str, Any]]:
    """Run this in a process of its own, as W&B starts a service; the rows of the one run that it left."""
    prelude = (
        "import sys, wandb\nfrom pathlib import Path\n"
        "from neurocensus.callbacks.writers import Wandb, writers\n"
        f"ONE = {ONE!r}\nfolder = Path(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + code, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return history_in(path)


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"wandb=True needs W&B: pip install 'neurocensus\[wandb\]'"):
        Wandb(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"needs TensorBoard: pip install 'neurocensus\[tensorboard\]'"):
        writers(tmp_path, 0, tensorboard=True, wandb=False, log=None)
    assert writers(tmp_path, 0, tensorboard="auto", wandb="auto", log=None) == []
