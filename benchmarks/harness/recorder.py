"""One benchmark's numbers: timed, stored beside pytest-benchmark's, and held against the targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import pytest

from benchmarks.harness.ratios import Ratio, Turns, Work, interleaved
from benchmarks.harness.targets import TARGETS

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

Better = Literal["higher", "lower"]


class Recorder:
    """What the fixture `record` gives a benchmark.

    Args:
        benchmark: pytest-benchmark's fixture; its ``extra_info`` takes the numbers.
        rounds: the most rounds of any benchmark; None: as many as it asks for.
    """

    def __init__(self, benchmark: BenchmarkFixture, rounds: int | None = None) -> None:
        self.benchmark = benchmark
        self.outcomes: list[dict[str, Any]] = []
        """What was held against a target, in order."""
        self._rounds = rounds

    def turns(
        self,
        ways: Mapping[str, Work],
        *,
        rounds: int,
        prepare: Callable[[], tuple[Any, ...]] = tuple,
        warmup: int = 1,
    ) -> Turns:
        """Time all ways in turn, the candidate first in `ways`; see `ratios.interleaved`."""
        rounds = min(rounds, self._rounds or rounds)
        return interleaved(self.benchmark, ways, rounds=rounds, prepare=prepare, warmup=warmup)

    def ratio(self, name: str, ratio: Ratio, *, better: Better, target: str | None = None) -> None:
        """Store a ratio within this run, which ``make bench-check`` holds against its baseline.

        Args:
            name: as readers see it, "share of plain read"; the key beside the benchmark's own name.
            ratio: over the rounds of this run.
            better: which way is better.
            target: an entry of `targets.TARGETS` that the median is also held against.

        Raises:
            ValueError: a second ratio of this name; a round's ratio that is not positive and finite.
        """
        stored = self.benchmark.extra_info.setdefault("ratios", {})
        if name in stored:
            raise ValueError(f"name: expected one ratio of each name in a benchmark, got {name!r} twice")
        if not 0 < ratio.low <= ratio.high < math.inf:
            raise ValueError(
                f"ratio: expected positive, finite numbers for {name!r}, got {ratio.low} to {ratio.high}; "
                "hold a difference against a target, or note it"
            )
        if self.benchmark.disabled:  # a single round without a warm-up: no figure
            return
        stored[name] = asdict(ratio) | {"better": better}
        if target is not None:
            self.target(target, ratio)

    def target(self, name: str, value: Ratio) -> None:
        """Hold a number against a target and nothing else: seconds and microseconds have no baseline."""
        target = TARGETS[name]
        if self.benchmark.disabled:
            return
        self.outcomes.append({
            "target": name, "case": self.benchmark.name, "value": value.median, "low": value.low,
            "high": value.high, "what": target.what, "asked": target.asked, "met": target.met(value.median),
        })  # fmt: skip
        self.benchmark.extra_info["targets"] = self.outcomes

    def note(self, **numbers: float | str) -> None:
        """Store absolute figures and words beside the times; they become columns of the report."""
        if taken := {"ratios", "targets"} & numbers.keys():
            raise ValueError(f"numbers: expected other names than 'ratios' and 'targets', got {taken}")
        self.benchmark.extra_info.update(numbers)

    def fail_missed(self) -> None:
        """Fail for the targets that were missed."""
        missed = [
            f"{outcome['what']}: {outcome['value']:.3g}, expected {outcome['asked']}"
            for outcome in self.outcomes
            if not outcome["met"]
        ]
        if missed:
            pytest.fail("\n".join(missed), pytrace=False)
