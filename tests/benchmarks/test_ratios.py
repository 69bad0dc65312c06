"""Ways in turn, and ratios of what they took."""

from __future__ import annotations

import inspect
import statistics
import time
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.harness import ratios
from benchmarks.harness.ratios import Ratio, Turns, interleaved
from hypothesis import given
from hypothesis import strategies as st
from pytest_benchmark.fixture import BenchmarkFixture

from .samples import factors, rounds

times = st.floats(1e-6, 1e3)


@given(rounds)
def test_a_ratio_is_in_order(values: list[float]) -> None:
    found = Ratio.of(values)
    assert found.low <= found.q1 <= found.median <= found.q3 <= found.high
    assert found.median == pytest.approx(statistics.median(values))
    assert (found.low, found.high, found.rounds) == (min(values), max(values), len(values))


@given(rounds, factors)
def test_a_ratio_times_a_factor_is_that_of_each_round(values: list[float], factor: float) -> None:
    found, expected = Ratio.of(values).times(factor), Ratio.of([factor * value for value in values])
    assert vars(found) == pytest.approx(vars(expected))


def test_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one round, got none"):
        Ratio.of([])


@given(st.lists(st.tuples(times, times), min_size=1, max_size=9))
def test_ratios_are_taken_round_by_round(pairs: list[tuple[float, float]]) -> None:
    turns = Turns({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    assert turns.ratio("a", "b") == Ratio.of([a / b for a, b in pairs])
    assert turns.extra("a", "b") == statistics.median(a - b for a, b in pairs)
    assert turns.median("b") == statistics.median(b for _, b in pairs)


def test_a_machine_that_slows_down_slows_all() -> None:
    turns = Turns({"a": [1.0, 2.0, 40.0], "b": [2.0, 4.0, 80.0]})
    assert turns.ratio("b", "a") == Ratio.of([2, 2, 2])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time stands still but for what is added to it."""
    now = [0.0]
    monkeypatch.setattr(ratios, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def fixture(*, disabled: bool) -> BenchmarkFixture:
    """pytest-benchmark's own, whose times go to no table."""
    options: dict[str, Any] = dict.fromkeys(inspect.signature(BenchmarkFixture).parameters)
    options |= {
        "node": SimpleNamespace(name="test", nodeid="test"), "disabled": disabled,
        "timer": SimpleNamespace(target=time.perf_counter), "add_stats": lambda stats: None,
        "min_time": 0, "max_time": 1,
    }  # fmt: skip
    return BenchmarkFixture(**options)


@pytest.mark.parametrize("disabled", [False, True])
def test_ways_take_turns_and_only_they_are_timed(clock: list[float], disabled: bool) -> None:
    done: list[str] = []

    def way(name: str, seconds: float) -> Any:
        def work(*arguments: Any) -> None:
            done.append(name + "".join(map(str, arguments)))
            clock[0] += seconds if done.count(done[-1]) > 1 or disabled else 100  # the first time is slow

        return work

    def prepare() -> tuple[int]:
        clock[0] += 1000
        return (7,)

    ways = {"a": way("a", 1), "b": way("b", 2), "c": way("c", 4)}
    turns = interleaved(fixture(disabled=disabled), ways, rounds=3, prepare=prepare)
    if disabled:
        assert done == ["b", "c", "a7"]
        return
    assert "".join(done) == "bca7" + "cba7" + "bca7" + "cba7"  # the first is a warm-up
    assert turns.seconds == {"a": [1, 1, 1], "b": [2, 2, 2], "c": [4, 4, 4]}
    assert turns.ratio("c", "a").median == 4


def test_ways_without_a_candidate_are_refused() -> None:
    with pytest.raises(ValueError, match="at least the candidate, got none"):
        interleaved(fixture(disabled=False), {}, rounds=1)
