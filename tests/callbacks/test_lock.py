"""One monitor at a time in a folder, in one process and across several."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from neurocensus.callbacks import Monitor, read_monitor
from neurocensus.callbacks.lock import FILE, Lock

from .samples import batches, network, train

ROOT = Path(__file__).parents[2]
REFUSED = r"folder: expected no other Monitor at work there, got one in .*; end it with close\(\)"


def monitor(folder: Path, **options: Any) -> Monitor:
    model = network()
    return Monitor(
        model, folder, every_n_steps=1, log_every_n_steps=1, warn_over=1, tensorboard=False, wandb=False,
        **options,
    )  # fmt: skip


def step(one: Monitor) -> None:
    train(one, one.auditor.model, batches(1))


@pytest.mark.parametrize("first_step", [0, 1])
def test_a_second_monitor_is_refused_and_the_first_goes_on(tmp_path: Path, first_step: int) -> None:
    with monitor(tmp_path) as first:
        step(first)
        second = monitor(tmp_path, first_step=first_step, mask="mask")
        with pytest.raises(RuntimeError, match=REFUSED):
            second.open()
        assert not any(m._forward_pre_hooks for m in second.auditor.model.modules())
        step(first)
        with monitor(tmp_path / "other"):  # another folder
            step(first)
    assert [one["step"] for one in read_monitor(tmp_path)] == [1, 2, 3]
    assert sorted(os.listdir(tmp_path)) == ["activations.jsonl", "activations.png", "other"]


@pytest.mark.parametrize("end", [Monitor.close, Monitor.abort])
def test_the_folder_is_free_after_the_end(tmp_path: Path, end: Any) -> None:
    first = monitor(tmp_path).open()
    assert (tmp_path / FILE).exists()
    end(first)
    assert not (tmp_path / FILE).exists()
    with monitor(tmp_path) as second:
        step(second)


@pytest.mark.parametrize("mask", [None, "mask"])
def test_the_folder_is_free_when_the_monitor_is_garbage(tmp_path: Path, mask: str | None) -> None:
    first = monitor(tmp_path, mask=mask).open()
    auditor = first.auditor  # which outlives it, with the model and its hooks
    del first
    gc.collect()
    with monitor(tmp_path):
        auditor.model(torch.zeros(1, 8))
    auditor.detach()


def test_the_folder_is_free_when_it_could_not_begin(tmp_path: Path) -> None:
    (tmp_path / "activations.jsonl").write_text("damaged\n")
    with pytest.raises(ValueError, match="line 1: expected the JSON object") as caught:
        monitor(tmp_path, first_step=1).open()
    with monitor(tmp_path):
        assert caught.value.__traceback__ is not None  # which keeps the first one


def test_another_process_is_refused_until_it_is_killed(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from tests.callbacks.test_lock import monitor, step
        with monitor(Path(sys.argv[1])) as one:
            step(one)
            print("at work", flush=True)
            time.sleep(60)
        """
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            with pytest.raises(RuntimeError, match=REFUSED):
                monitor(tmp_path, first_step=1).open()
        finally:
            process.kill()
    with monitor(tmp_path, first_step=1) as second:
        step(second)
    assert [one["step"] for one in read_monitor(tmp_path)] == [1, 2]


def test_forked_processes_have_no_part_in_it(tmp_path: Path) -> None:
    """They neither keep the folder from others nor set it free when they end."""
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from neurocensus.callbacks.lock import Lock

        def refused():
            try:
                Lock(Path(sys.argv[1]))
            except RuntimeError:
                return True

        lock = Lock(Path(sys.argv[1]))
        if not (short := os.fork()):
            lock.release()
            sys.exit(0 if refused() else 1)
        assert os.waitpid(short, 0)[1] == 0
        assert refused()
        (wait, go), (hear, say) = os.pipe(), os.pipe()
        if not (long := os.fork()):
            os.write(say, b"x")
            os.read(wait, 1)
            os._exit(0)
        os.read(hear, 1)  # it runs
        os.close(lock._descriptor)  # as a kill does
        assert not refused()
        os.write(go, b"x")
        assert os.waitpid(long, 0)[1] == 0
        lock._end.detach()
        """
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=30, check=True)


def test_in_a_folder_that_was_removed_and_taken_by_another_no_row_is_added(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = monitor(folder).open()
    shutil.rmtree(folder)
    with monitor(folder) as second:
        with pytest.raises(RuntimeError, match=REFUSED):
            step(first)
        first.abort()
        step(second)
    assert len(read_monitor(folder)) == 1


def test_a_lock_that_was_removed_is_taken_again(tmp_path: Path) -> None:
    with monitor(tmp_path) as first:
        (tmp_path / FILE).unlink()
        step(first)
        with pytest.raises(RuntimeError, match=REFUSED):
            monitor(tmp_path).open()


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lock = Lock(tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []
