"""The gate: has a ratio become worse than its baseline by more than its own measured spread?

A ratio fails when its median over the rounds of a run is worse than the median of its baseline's runs by more
than the range of those runs' medians and one standard error of its own median, in three processes in a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.harness.baselines import Baseline, Known
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import Key, Run

AGAIN: Final = 2
"""How often what fails is measured again, in a fresh process each time, before it counts."""
LEAST: Final = 0.01
"""The least that is allowed: a ratio that hardly varies in a few runs may vary by so much in others."""
BLUNT: Final = 0.25
"""A ratio that is allowed more than this is named: a slowdown below it goes unseen."""

_ERROR_OF_MEDIAN: Final = math.sqrt(math.pi / 2) / 1.349
"""Standard error of a median of n normal values, in interquartile ranges over the root of n."""


def spread(known: Known, found: Ratio) -> float:
    """How much worse than its baseline a ratio may be, as the logarithm of a factor.

    Ratios multiply: twice as slow and twice as fast are equally far from 1 in logarithms.
    """
    between = math.log(known.high) - math.log(known.low)  # as differences: exact where both are the ends
    own = _ERROR_OF_MEDIAN * (math.log(found.q3) - math.log(found.q1)) / math.sqrt(found.rounds)
    return max(between + own, math.log1p(LEAST))


@dataclass(frozen=True)
class Verdict:
    """One ratio beside its baseline."""

    key: Key
    known: Known
    found: Ratio

    @property
    def worse(self) -> float:
        """Logarithm of the factor by which it is worse; negative where it is better."""
        change = math.log(self.found.median) - math.log(self.known.median)
        return -change if self.known.better == "higher" else change

    @property
    def allowed(self) -> float:
        """See `spread`."""
        return spread(self.known, self.found)

    @property
    def fails(self) -> bool:
        return self.worse > self.allowed

    @property
    def improved(self) -> bool:
        """Better by more than the spread: the baseline is out of date."""
        return -self.worse > self.allowed

    def __str__(self) -> str:
        name, ratio = self.key
        return (
            f"{name}: {ratio} {self.found.median:.3g}, baseline {self.known.median:.3g} "
            f"({self.known.low:.3g} to {self.known.high:.3g}): {_percent(abs(self.worse))} "
            f"{'worse' if self.worse > 0 else 'better'}, spread {_percent(self.allowed)}"
        )


@dataclass(frozen=True)
class Outcome:
    """What a check found."""

    verdicts: Sequence[Verdict]
    """One for each ratio of the run that has a baseline."""
    fresh: Sequence[Key]
    """Ratios of the run that have no baseline yet."""
    gone: Sequence[Key]
    """Ratios of the baseline that the run does not have."""
    whole: bool
    """Was all measured that the gate has? Then nothing may be gone."""

    @property
    def failures(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.fails]

    @property
    def passes(self) -> bool:
        """Nothing is worse, nothing is gone, and something was compared at all."""
        return bool(self.verdicts) and not self.failures and not (self.whole and self.gone)

    def lines(self) -> Iterator[str]:
        """What people read."""
        for verdict in self.failures:
            yield f"WORSE   {verdict}"
        for name, ratio in self.gone if self.whole else ():
            yield f"GONE    {name}: {ratio}: it has a baseline and was not measured; renew the baseline"
        for verdict in self.verdicts:
            if verdict.improved:
                yield f"better  {verdict}; renew the baseline, or it may get worse again unseen"
        for verdict in self.verdicts:
            if verdict.allowed > math.log1p(BLUNT):
                yield f"noisy   {verdict}; less than that goes unseen"
        for name, ratio in self.fresh:
            yield f"new     {name}: {ratio}: no baseline yet"
        yield (
            f"{len(self.verdicts)} ratios beside their baselines: {len(self.failures)} worse"
            f"{f', {len(self.gone)} gone' if self.whole and self.gone else ''}."
        )


def compare(run: Run, baseline: Baseline, *, whole: bool = True) -> Outcome:
    """Every ratio of a run beside its baseline.

    Raises:
        ValueError: the run is of the short form; or a ratio changed the direction that is better.
    """
    if run.short:
        raise ValueError("run: expected the full form, got the short one, which times nothing")
    found = run.ratios()
    for key, stored in found.items():
        if key in baseline.ratios and baseline.ratios[key].better != stored.better:
            raise ValueError(
                f"{key}: expected {baseline.ratios[key].better} to be better, as in the baseline, got "
                f"{stored.better}; renew the baseline"
            )
    return Outcome(
        verdicts=[
            Verdict(key, baseline.ratios[key], stored.ratio)
            for key, stored in found.items()
            if key in baseline.ratios
        ],
        fresh=[key for key in found if key not in baseline.ratios],
        gone=[key for key in baseline.ratios if key not in found],
        whole=whole,
    )


def settle(outcome: Outcome, again: Callable[[Sequence[str]], Run], times: int = AGAIN) -> Outcome:
    """Measure what fails once more, up to `times`; what is as it was in any of them passes.

    Args:
        outcome: of the first run.
        again: measures the benchmarks of these full names in a fresh process.
    """
    for _ in range(times):
        failures = outcome.failures
        if not failures:
            break
        found = again(list(dict.fromkeys(verdict.key[0] for verdict in failures))).ratios()
        outcome = replace(
            outcome,
            verdicts=[
                replace(verdict, found=found[verdict.key].ratio) if verdict.fails else verdict
                for verdict in outcome.verdicts
            ],
        )
    return outcome


def _percent(logarithm: float) -> str:
    return f"{math.expm1(logarithm):.1%}".replace("%", " %")
