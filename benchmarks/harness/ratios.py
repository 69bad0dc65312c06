"""Ways of doing one thing, timed in turn: A B C A B C ... so that a machine that slows down slows all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

Work = Callable[..., Any]


@dataclass(frozen=True)
class Ratio:
    """A ratio over the rounds of a run: median, lowest, highest, and the quartiles."""

    median: float
    low: float
    high: float
    q1: float
    q3: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Ratio:
        """From the ratio of each round; a single number is its own spread.

        Raises:
            ValueError: there is no round.
        """
        if not values:
            raise ValueError("values: expected the ratio of at least one round, got none")
        q1, median, q3 = (
            statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * [values[0]]
        )
        return cls(median, min(values), max(values), q1, q3, len(values))

    def times(self, factor: float) -> Ratio:
        """For a way that does one part in `factor` of the work; `factor` is positive."""
        return Ratio(
            factor * self.median,
            factor * self.low,
            factor * self.high,
            factor * self.q1,
            factor * self.q3,
            self.rounds,
        )


@dataclass(frozen=True)
class Turns:
    """Seconds of each round of each way; entry i of all lists was taken one right after the other."""

    seconds: Mapping[str, list[float]]

    def ratio(self, numerator: str, denominator: str) -> Ratio:
        """Seconds of one way over those of another, taken per round."""
        pairs = zip(self.seconds[numerator], self.seconds[denominator], strict=True)
        return Ratio.of([a / b for a, b in pairs])

    def extra(self, way: str, base: str) -> float:
        """Seconds that `way` takes more than `base`: the median of the rounds' differences."""
        pairs = zip(self.seconds[way], self.seconds[base], strict=True)
        return statistics.median(a - b for a, b in pairs)

    def median(self, name: str) -> float:
        """Seconds of a round."""
        return statistics.median(self.seconds[name])


def interleaved(
    benchmark: BenchmarkFixture,
    ways: Mapping[str, Work],
    *,
    rounds: int,
    prepare: Callable[[], tuple[Any, ...]] = tuple,
    warmup: int = 1,
) -> Turns:
    """Time all ways in turn. The first is the candidate: pytest-benchmark stores its times.

    The candidate gets `prepare()`, which is not timed, and is the last of a round. The others change places
    from round to round, so that none always finds the caches as one certain other left them. With
    ``--benchmark-disable`` each runs once, without `warmup`: enough to check a result, not to time it.
    """
    if not ways:
        raise ValueError("ways: expected at least the candidate, got none")
    (first, candidate), *others = ways.items()
    seconds: dict[str, list[float]] = {name: [] for name in ways}

    def timed(name: str, work: Work, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments)
        seconds[name].append(time.perf_counter() - start)
        return result

    def before() -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = prepare()
        for name, work in _rotated(others, len(seconds[first])):
            timed(name, work)
        return (first, candidate, *arguments), {}

    pedantic: Any = benchmark.pedantic  # untyped in its package
    pedantic(timed, setup=before, rounds=rounds, warmup_rounds=warmup)
    return Turns({name: times[-rounds:] for name, times in seconds.items()})


def _rotated(ways: Sequence[tuple[str, Work]], places: int) -> list[tuple[str, Work]]:
    begin = places % len(ways) if ways else 0
    return [*islice(ways, begin, None), *islice(ways, begin)]
