"""What a benchmark stores, and what it is held against."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Recorder
from benchmarks.harness.targets import TARGETS, Target


@pytest.fixture
def fixture() -> Any:
    """Of pytest-benchmark, as far as a recorder looks at it."""
    return SimpleNamespace(name="test_rows", disabled=False, extra_info={})


def test_a_ratio_is_stored_whole(fixture: Any) -> None:
    Recorder(fixture).ratio("share of plain read", Ratio.of([0.5, 0.7, 0.9]), better="higher")
    assert fixture.extra_info == {
        "ratios": {
            "share of plain read": {
                "median": 0.7, "low": 0.5, "high": 0.9, "q1": 0.6, "q3": 0.8, "rounds": 3, "better": "higher",
            }
        }
    }  # fmt: skip


def test_a_target_is_met_or_missed_by_the_median(fixture: Any) -> None:
    recorder = Recorder(fixture)
    recorder.ratio("share of plain read", Ratio.of([0.1, 0.9, 0.9]), better="higher", target="rows")
    recorder.fail_missed()
    recorder.target("merge", Ratio.of([3.0]))
    assert [outcome["met"] for outcome in recorder.outcomes] == [True, False]
    assert fixture.extra_info["targets"] == recorder.outcomes
    assert list(fixture.extra_info["ratios"]) == ["share of plain read"]  # seconds are no ratio
    with pytest.raises(pytest.fail.Exception, match="seconds: 3, expected at most 2"):
        recorder.fail_missed()


def test_a_single_untimed_round_is_no_figure(fixture: Any) -> None:
    fixture.disabled = True
    recorder = Recorder(fixture)
    recorder.ratio("share of plain read", Ratio.of([0.1]), better="higher", target="rows")
    recorder.target("merge", Ratio.of([3.0]))
    assert recorder.outcomes == []
    assert not fixture.extra_info["ratios"]


@pytest.mark.parametrize("bad", [[0.0, 1.0], [-1.0, 1.0], [1.0, float("inf")], [float("nan")]])
@pytest.mark.parametrize("disabled", [False, True])
def test_what_cannot_be_a_ratio_is_refused(fixture: Any, bad: list[float], disabled: bool) -> None:
    """In the short form too: it is to find out before a long run does."""
    fixture.disabled = disabled
    with pytest.raises(ValueError, match="expected positive, finite numbers for 'growth'"):
        Recorder(fixture).ratio("growth", Ratio.of(bad), better="lower")


def test_names_that_are_taken_are_refused(fixture: Any) -> None:
    recorder = Recorder(fixture)
    recorder.ratio("share", Ratio.of([1.0]), better="higher")
    with pytest.raises(ValueError, match="got 'share' twice"):
        recorder.ratio("share", Ratio.of([1.0]), better="higher")
    with pytest.raises(ValueError, match="other names than 'ratios' and 'targets'"):
        recorder.note(ratios=1)


def test_a_target_that_does_not_exist_is_an_error_in_the_short_form_too(fixture: Any) -> None:
    fixture.disabled = True
    with pytest.raises(KeyError, match="rwos"):
        Recorder(fixture).target("rwos", Ratio.of([1.0]))


def test_targets_have_one_side() -> None:
    assert Target("share", at_least=0.5).met(0.5)
    assert not Target("share", at_least=0.5).met(0.49)
    assert Target("times", at_most=2).met(2)
    assert not Target("times", at_most=2).met(float("nan"))
    for sides in ({}, {"at_least": 1, "at_most": 2}):
        with pytest.raises(ValueError, match="either at_least or at_most"):
            Target("times", **sides)
    assert len({target.what for target in TARGETS.values()}) == len(TARGETS)  # a reader tells them apart
