"""Two ways of doing one thing, timed in turn: A B A B ... so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@dataclass(frozen=True)
class Ratio:
    """Median, lowest and highest of a ratio over the pairs of a run."""

    median: float
    low: float
    high: float

    def times(self, factor: float) -> Ratio:
        """For a baseline that does one part in `factor` of the work."""
        return Ratio(factor * self.median, factor * self.low, factor * self.high)


@dataclass(frozen=True)
class Pairs:
    """Seconds of each round; entry i of both lists was taken one right after the other."""

    baseline: list[float]
    candidate: list[float]

    @property
    def speedup(self) -> Ratio:
        """Baseline over candidate: how many times faster the candidate is."""
        return _ratio(self.baseline, self.candidate)

    @property
    def cost(self) -> Ratio:
        """Candidate over baseline: how many times the baseline's time the candidate takes."""
        return _ratio(self.candidate, self.baseline)

    @property
    def baseline_median(self) -> float:
        return statistics.median(self.baseline)

    @property
    def candidate_median(self) -> float:
        return statistics.median(self.candidate)


def interleaved(
    benchmark: BenchmarkFixture,
    candidate: Callable[..., Any],
    baseline: Callable[[], Any],
    *,
    prepare: Callable[[], tuple[Any, ...]] = tuple,
    rounds: int,
    warmup: int = 1,
) -> Pairs:
    """Time `baseline()` and `candidate(*prepare())` in turn; pytest-benchmark stores the candidate's times.

    With ``--benchmark-disable`` both run once: enough to check a result, not to time it.
    """
    pairs = Pairs([], [])

    def before() -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = prepare()
        start = time.perf_counter()
        baseline()
        pairs.baseline.append(time.perf_counter() - start)
        return arguments, {}

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = candidate(*arguments)
        pairs.candidate.append(time.perf_counter() - start)
        return result

    pedantic: Any = benchmark.pedantic  # untyped in its package
    pedantic(timed, setup=before, rounds=rounds, warmup_rounds=warmup)
    return Pairs(pairs.baseline[-rounds:], pairs.candidate[-rounds:])


def _ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
