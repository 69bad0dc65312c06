"""What an auditor costs in a training loop: on steps that it leaves alone, every 50 steps, on every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import neurocensus as nc
from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.networks import convnet
from benchmarks.workloads.sizes import THREADS, size

BATCH = size(64, 8)


class Cadence(NamedTuple):
    every_n_steps: int
    window: tuple[int, None] | None
    steps: int  # of a round
    rounds: int


CADENCES: Mapping[str, Cadence] = {
    "off": Cadence(50, (10**9, None), 10, 40),
    "every 50 steps": Cadence(50, None, 50, 16),
    "every step": Cadence(1, None, 5, 40),
}


class Loop:
    """A plain training loop; `ended` is called after each step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = convnet()
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self._x, self._y = torch.rand(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))

    def run(self, steps: int, ended: Callable[[], object] = lambda: None) -> None:
        for _ in range(steps):
            F.cross_entropy(self.model(self._x), self._y).backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._optimizer.zero_grad()
            ended()


@pytest.fixture(autouse=True)
def _fast_denormals() -> Iterator[None]:
    """What training drives to almost nothing must not slow down one of the two loops."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("cadence", CADENCES)
def test_training(record: Recorder, cadence: str) -> None:
    """A few steps of a small convolutional network with an Auditor attached, beside those without."""
    every, window, steps, rounds = CADENCES[cadence]
    plain, audited = Loop(), Loop()
    with nc.Auditor(audited.model, every_n_steps=every, window=window, threads=THREADS) as auditor:
        audited.run(every, auditor.step)  # the first forward also finds the points
        plain.run(every)
        auditor.compute("train", reset=True)
        before = auditor.steps
        turns = record.turns(
            {"audit": lambda: audited.run(steps, auditor.step), "plain loop": lambda: plain.run(steps)},
            rounds=rounds,
        )
    counted = 0 if window else -(-(auditor.steps - before) // every)
    found = auditor.compute("train")
    assert found.examples == counted * BATCH
    points = sum(isinstance(module, (nn.ReLU, nn.MaxPool2d)) for module in audited.model) + 1  # logits
    assert len(found.layers) == (0 if window else points)
    for mine, theirs in zip(audited.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    cost = turns.ratio("audit", "plain loop")
    record.ratio("times the plain loop", cost, better="lower", target=f"training, {cadence}")
    record.note(plain_ms_per_step=1e3 * turns.median("plain loop") / steps)
