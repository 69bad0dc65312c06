"""How long work takes, on a device that runs behind the host, or on the host itself."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from benchmarks.harness.ratios import Ratio

Work = Callable[[], Any]


@dataclass(frozen=True)
class Pairs:
    """Seconds of each round; entry i of both lists was taken one right after the other."""

    baseline: list[float]
    candidate: list[float]

    @property
    def speedup(self) -> Ratio:
        """Baseline over candidate: how many times faster the candidate is."""
        return Ratio.of([a / b for a, b in zip(self.baseline, self.candidate, strict=True)])

    @property
    def cost(self) -> Ratio:
        """Candidate over baseline: how many times the baseline's time the candidate takes."""
        return Ratio.of([a / b for a, b in zip(self.candidate, self.baseline, strict=True)])

    @property
    def baseline_median(self) -> float:
        return statistics.median(self.baseline)

    @property
    def candidate_median(self) -> float:
        return statistics.median(self.candidate)


class Clock(Protocol):
    """Three times of the same work."""

    def queued(self, work: Work, ahead: float) -> float:
        """Seconds on the device alone: `work` is launched whole, within `ahead` seconds, before it starts."""

    def through(self, work: Work) -> float:
        """Seconds from the first launch to the last result, as a loop that never waits has it."""

    def launching(self, work: Work) -> float:
        """Seconds that the host is busy with it."""


class CudaClock:
    """Events on the current stream."""

    def __init__(self) -> None:
        self._cycles_per_second = 1.5e9
        sleep = getattr(torch.cuda, "_sleep", None)
        if sleep is not None:  # measured: the clock that it counts is no part of any interface
            cycles = 20_000_000
            for _ in range(2):
                self._cycles_per_second = cycles / self._elapsed(lambda: sleep(cycles))
        self._sleep = sleep

    def queued(self, work: Work, ahead: float) -> float:
        return self._elapsed(work, ahead)

    def through(self, work: Work) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def launching(self, work: Work) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        spent = time.perf_counter() - start
        torch.cuda.synchronize()
        return spent

    def _elapsed(self, work: Work, ahead: float = 0.0) -> float:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        if ahead and self._sleep is not None:
            self._sleep(int(ahead * self._cycles_per_second))
        start.record()
        work()
        stop.record()
        stop.synchronize()
        return float(start.elapsed_time(stop)) / 1e3


class HostClock:
    """Where nothing runs behind: all three are one."""

    def queued(self, work: Work, ahead: float) -> float:
        return self.through(work)

    def through(self, work: Work) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def launching(self, work: Work) -> float:
        return self.through(work)


def clock_for(device: str) -> Clock:
    return CudaClock() if device == "cuda" else HostClock()


def in_turn(time_of: Callable[[Work], float], candidate: Work, baseline: Work, rounds: int) -> Pairs:
    """Time both in turn, after two rounds that are not kept; who begins changes from round to round."""
    pairs = Pairs([], [])
    for i in range(rounds + 2):
        ways = [(pairs.baseline, baseline), (pairs.candidate, candidate)]
        for times, work in ways if i % 2 else reversed(ways):
            times.append(time_of(work))
    return Pairs(pairs.baseline[2:], pairs.candidate[2:])


def of(seconds: list[float], factor: float = 1.0) -> Ratio:
    """Median, lowest and highest of times themselves."""
    return Ratio.of(seconds).times(factor)


def repeats(time_of: Callable[[Work], float], work: Work, wanted: float, most: int) -> int:
    """How often `work` must be done to take `wanted` seconds."""
    once = min(time_of(work) for _ in range(2))
    return max(1, min(most, math.ceil(wanted / max(once, 1e-9))))
