"""The gate's rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from benchmarks.harness import check
from benchmarks.harness.baselines import Baseline, Known
from benchmarks.harness.check import LEAST, Verdict, compare, settle, spread
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Better
from benchmarks.harness.runs import Run, Stored
from hypothesis import assume, given
from hypothesis import strategies as st

from . import samples
from .samples import benchmark, directions, factors, rounds, run, run_of

KEY = ("benchmarks/test_update.py::test_0", "share")
several = st.lists(rounds, min_size=2, max_size=6)
"""The rounds of each of several runs."""


def known(runs: Sequence[Sequence[float]], better: Better = "higher") -> Known:
    return Known.of([Stored(Ratio.of(values), better) for values in runs])


@given(several, directions)
def test_a_baseline_passes_each_of_its_own_runs(runs: list[list[float]], better: Better) -> None:
    for values in runs:
        verdict = Verdict(KEY, known(runs, better), Ratio.of(values))
        assert not verdict.fails
        assert not verdict.improved


@given(several, rounds, directions, st.floats(1e-6, 2))
def test_worse_by_more_than_the_spread_always_fails(
    runs: list[list[float]], values: list[float], better: Better, more: float
) -> None:
    base, found = known(runs, better), Ratio.of(values)
    worse = math.exp(spread(base, found) + more)
    target = base.median / worse if better == "higher" else base.median * worse
    verdict = Verdict(KEY, base, found.times(target / found.median))
    assert verdict.fails
    assert not verdict.improved


@given(several, rounds, directions)
def test_a_ratio_and_its_inverse_are_judged_alike(
    runs: list[list[float]], values: list[float], better: Better
) -> None:
    """Times faster or times the time: the rule must not depend on how it is put.

    Of one round or three: the median of an even number is not that of the inverses.
    """
    runs, values = [odd(run) for run in runs], odd(values)
    runs = runs if len(runs) % 2 else runs[:-1]
    other: Better = "lower" if better == "higher" else "higher"
    direct = Verdict(KEY, known(runs, better), Ratio.of(values))
    inverse = Verdict(
        KEY, known([[1 / x for x in run] for run in runs], other), Ratio.of([1 / x for x in values])
    )
    assert inverse.worse == pytest.approx(direct.worse)
    assert inverse.allowed == pytest.approx(direct.allowed)


def odd(values: list[float]) -> list[float]:
    """The first, or the first five: their quartiles are among them."""
    return values[:5] if len(values) >= 5 else values[:1]


@given(several, rounds, directions)
def test_better_never_fails(runs: list[list[float]], values: list[float], better: Better) -> None:
    verdict = Verdict(KEY, known(runs, better), Ratio.of(values))
    assume(verdict.worse < 0)
    assert not verdict.fails


@given(several, rounds, st.integers(2, 5))
def test_more_rounds_narrow_the_spread(runs: list[list[float]], values: list[float], times: int) -> None:
    found, base = Ratio.of(values), known(runs)
    assert spread(base, replace(found, rounds=times * found.rounds)) <= spread(base, found)
    assert spread(base, found) >= math.log1p(LEAST)


@given(factors, st.floats(1.001, 1.5))
def test_a_wider_baseline_allows_more(median: float, factor: float) -> None:
    narrow = known([[median / factor], [median], [median * factor]])
    wide = replace(narrow, low=narrow.low / factor)
    found = Ratio.of([median])
    assert spread(wide, found) == pytest.approx(max(3 * math.log(factor), math.log1p(LEAST)))
    assert spread(wide, found) >= spread(narrow, found)


def test_a_noisy_run_is_allowed_the_standard_error_of_its_median() -> None:
    """By simulation: of medians of 40 rounds that vary by 10 %."""
    import numpy as np

    runs = np.exp(0.1 * np.random.default_rng(0).standard_normal((500, 40)))
    wide = known([[0.5], [2.0]])
    own = [spread(wide, Ratio.of(list(values))) - math.log(4) for values in runs]
    assert np.mean(own) == pytest.approx(np.log(np.median(runs, axis=1)).std(), rel=0.1)


def test_false_alarms_and_what_is_seen() -> None:
    """By simulation, runs varying by 3 % (one standard deviation): the figures that the README gives."""
    import numpy as np

    random, deviation, trials = np.random.default_rng(0), 0.03, 4000
    alarms = seen = 0
    for _ in range(trials):
        base = known([[float(value)] for value in np.exp(deviation * random.standard_normal(5))])
        alike = [Ratio.of([float(v)]) for v in np.exp(deviation * random.standard_normal(1 + check.AGAIN))]
        alarms += all(Verdict(KEY, base, found).fails for found in alike)
        seen += all(Verdict(KEY, base, found.times(0.8)).fails for found in alike)
    assert alarms / trials < 0.005
    assert seen / trials > 0.95


# A whole run.


def test_a_slowdown_fails_and_says_by_how_much() -> None:
    baseline = Baseline.of([run_of(0.8), run_of(0.81), run_of(0.79)])
    outcome = compare(run_of(0.6), baseline)
    assert not outcome.passes
    assert list(outcome.lines()) == [
        "WORSE   benchmarks/test_update.py::test_0: share 0.6, baseline 0.8 (0.79 to 0.81): 33.3 % worse, "
        "spread 2.5 %",
        "1 ratios beside their baselines: 1 worse.",
    ]
    assert compare(run_of(0.79), baseline).passes


def test_what_got_better_passes_and_asks_for_a_new_baseline() -> None:
    outcome = compare(run_of(0.6, better="lower"), Baseline.of([run_of(0.8, better="lower")] * 2))
    assert outcome.passes
    assert "better  " in "\n".join(outcome.lines())
    assert "renew the baseline" in "\n".join(outcome.lines())


def test_new_benchmarks_are_told_and_lost_ones_fail_a_whole_run() -> None:
    baseline = Baseline.of([run_of(0.8, 0.5)] * 2)
    more = compare(run_of(0.8, 0.5, 0.3), baseline)
    assert more.passes
    assert "new     benchmarks/test_update.py::test_2: share: no baseline yet" in list(more.lines())
    fewer = run_of(0.8)
    assert not compare(fewer, baseline).passes
    assert "GONE    benchmarks/test_update.py::test_1: share" in "\n".join(compare(fewer, baseline).lines())
    assert compare(fewer, baseline, whole=False).passes  # only some were asked for


def test_a_spread_that_hides_slowdowns_is_told() -> None:
    outcome = compare(run_of(0.5), Baseline.of([run_of(0.5), run_of(0.8)]))
    assert "noisy   " in "\n".join(outcome.lines())


def test_a_changed_direction_and_a_short_form_are_refused() -> None:
    baseline = Baseline.of([run_of(0.8)] * 2)
    with pytest.raises(ValueError, match="expected higher to be better, as in the baseline, got lower"):
        compare(run_of(0.8, better="lower"), baseline)
    short = run([benchmark("test_0")], short=True)
    with pytest.raises(ValueError, match="expected the full form"):
        compare(short, baseline)


# Measured again.


class Again:
    """Gives one run after another, and remembers what was asked."""

    def __init__(self, *runs: Run) -> None:
        self.runs, self.asked = list(runs), list[list[str]]()

    def __call__(self, names: Sequence[str]) -> Run:
        self.asked.append(list(names))
        return self.runs[len(self.asked) - 1]


def test_only_what_fails_every_time_counts() -> None:
    """Of three that fail, one is as it was the second time, one the third time, one never."""
    baseline = Baseline.of([run_of(1, 1, 1, 1)] * 2)
    again = Again(run_of(1, 0.5, 0.5, 1), run_of(0.1, 1, 0.5, 0.1))
    first, second, third = (f"benchmarks/test_update.py::test_{index}" for index in range(3))
    outcome = settle(compare(run_of(0.5, 0.5, 0.5, 1), baseline), again)
    assert again.asked == [[first, second, third], [second, third]]
    assert [verdict.key[0] for verdict in outcome.failures] == [third]
    assert not outcome.passes


def test_what_passes_is_not_measured_again() -> None:
    again = Again()
    assert settle(compare(run_of(1.0), Baseline.of([run_of(1.0)] * 2)), again).passes
    assert again.asked == []
    assert samples.MACHINE["neurocensus"]["short"] is False
