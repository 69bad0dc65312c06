"""Trains, is killed, trains on, and says whether that made a difference. Run as a program by test_resume.py.

A program of its own, because it forks: a child for each run, so that torch is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from neurocensus.training import History, Settings, curves, fit, loop
from neurocensus.weights import read_weights

from ..dying import Sites
from .samples import net, pictures, same

SETTINGS: Final = Settings(3, 3e-3, batch_size=10, seed=3)
TRAIN, VALIDATION = pictures(38), pictures(10, seed=1)
FILES: Final = {
    "best.safetensors", "checkpoint.safetensors", "history.jsonl", "last.safetensors", "training.png",
}  # fmt: skip


@dataclass
class Job:
    """A training that is killed.

    pattern: when checkpoints are due: None: at the ends of epochs; a number: some choice of steps and epochs.
    overfit: whether the best epoch is an early one.
    kills: one per run: the number of the site at which it is killed, or after so many seconds (float).
    """

    pattern: int | None
    overfit: bool
    kills: list[int | float]


def augment(inputs: Tensor) -> Tensor:
    """Draws from all the global generators."""
    inputs = inputs + 0.05 * torch.randn_like(inputs) + 0.01 * random.gauss(0, 1)
    return inputs + 0.01 * float(np.random.normal())  # noqa: NPY002


def train(folder: Path, overfit: bool, sites: Sites) -> nn.Module:
    validation = replace(VALIDATION, labels=1 - VALIDATION.labels) if overfit else VALIDATION
    model = net()
    fit(
        model, TRAIN, validation, SETTINGS, folder=folder, augment=augment, callbacks=[sites.passing],
        on_step=sites.passing, checkpoint_seconds=None,
    )  # fmt: skip
    return model


def due(pattern: int | None) -> Callable[..., bool]:
    def is_due(training: Any, *, within: bool) -> bool:
        if pattern is None:
            return not within
        return zlib.crc32(f"{pattern} {len(training.rows)} {training.step} {within}".encode()) % 2 == 0

    return is_due


def run(folder: Path, job: Job, kill: int | float | None) -> bool:
    """Train in a child; whether it lived to the end."""
    child = os.fork()
    if not child:
        loop._Training._is_due = due(job.pattern)  # type: ignore[method-assign]
        sites = Sites(kill if isinstance(kill, int) else None)
        sites.put_up()
        train(folder, job.overfit, sites)
        os._exit(0)
    if isinstance(kill, float):
        time.sleep(kill)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return True
    assert os.WTERMSIG(status) == signal.SIGKILL
    return False


def left_in(folder: Path) -> dict[str, Any]:
    rows = [{**row, "seconds": 0} for row in History.load(folder).rows]
    return {
        "files": {path.name for path in folder.iterdir()},
        "rows": rows,
        "stopped": History.load(folder).stopped,
        "last": read_weights(folder / "last.safetensors"),
        "best": read_weights(folder / "best.safetensors"),
    }


def consistent(folder: Path) -> str:
    """What is wrong with a folder after a kill; empty if nothing is."""
    if not (folder / "history.jsonl").exists():
        return ""
    epochs = [row["epoch"] for row in History.load(folder).rows]
    return "" if epochs == list(range(1, len(epochs) + 1)) else f"epochs {epochs}"


def complaint(job: Job, folder: Path, wanted: dict[str, Any]) -> str:
    """What came out other than it should have; empty if nothing did."""
    for kill in job.kills:
        if run(folder, job, kill):
            break
        if wrong := consistent(folder):
            return wrong
    if not run(folder, job, None):
        return "killed"
    found = left_in(folder)
    for key in ("files", "rows", "stopped"):
        if found[key] != wanted[key]:
            return f"{key}: {found[key]} and not {wanted[key]}"
    return "".join(f"{key} weights differ " for key in ("last", "best") if not same(found[key], wanted[key]))


def sites_of(folder: Path, job: Job) -> int:
    """How many sites a run without a kill passes."""
    read, write = os.pipe()
    if not os.fork():
        loop._Training._is_due = due(job.pattern)  # type: ignore[method-assign]
        sites = Sites(None)
        sites.put_up()
        train(folder, job.overfit, sites)
        os.write(write, str(sites.passed).encode())
        os._exit(0)
    os.wait()
    return int(os.read(read, 100))


def main(folder: Path, seed: int, count: int) -> None:
    torch.set_num_threads(1)
    curves.plot_history = lambda histories: Figure((1, 1))
    wanted = {}
    for overfit in (False, True):
        train(folder / f"wanted {overfit}", overfit, Sites(None))
        wanted[overfit] = left_in(folder / f"wanted {overfit}")
    best = [
        max(wanted[overfit]["rows"], key=lambda row: -row["validation_loss"])["epoch"] for overfit in wanted
    ]
    assert best == [3, 1], best
    rng = random.Random(seed)
    complaints = []
    sites_of_a_kind: dict[Any, int] = {}
    for number in range(count):
        job = Job(rng.choice([None, *range(20)]), rng.random() < 0.5, [])
        kind = job.pattern, job.overfit
        if kind not in sites_of_a_kind:
            sites_of_a_kind[kind] = sites_of(folder / f"{number} counted", job)
        sites = sites_of_a_kind[kind]
        for _ in range(rng.randint(1, 3)):
            job.kills.append(rng.randint(1, sites) if rng.random() < 0.8 else rng.uniform(0, 0.1))
        if wrong := complaint(job, folder / str(number), wanted[job.overfit]):
            complaints.append(f"{job}: {wrong}")
    print(json.dumps({"jobs": count, "complaints": complaints}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
