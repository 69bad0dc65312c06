"""Baselines as files, one for each kind of machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.harness import machine
from benchmarks.harness.baselines import FOLDER, Baseline, NoBaseline, find
from benchmarks.harness.check import compare
from hypothesis import given
from hypothesis import strategies as st

from . import samples
from .samples import directions, rounds, run_of


@given(medians=st.lists(st.lists(rounds.map(min), min_size=3, max_size=3), min_size=2, max_size=5))
def test_a_file_gives_back_what_it_was_given(
    medians: list[list[float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """To the last digit: a run at the very end of the spread still passes."""
    runs = [run_of(*of_run) for of_run in medians]
    baseline = Baseline.of(runs)
    loaded = Baseline.load(baseline.save(tmp_path_factory.mktemp("baselines")))
    assert loaded == baseline
    assert all(compare(run, loaded).passes for run in runs)


@given(directions)
def test_a_baseline_is_what_runs_have_in_the_middle_and_at_their_ends(better: str) -> None:
    baseline = Baseline.of([run_of(value, better=better) for value in (3.0, 1.0, 2.0)])  # type: ignore[arg-type]
    (known,) = baseline.ratios.values()
    assert (known.low, known.median, known.high, known.better) == (1, 2, 3, better)
    assert (baseline.runs, baseline.commit, baseline.date) == (3, "1a2b", "2026-11-21")


def test_the_file_is_named_after_the_machine_and_found_again(tmp_path: Path) -> None:
    baseline = Baseline.of([run_of(1.0)] * 2)
    path = baseline.save(tmp_path / "new folder")
    assert path.name == "abacus-9-family-6-model-1-2-cores-avx2.json"
    assert find(machine.kind(samples.MACHINE), path.parent) == baseline
    assert json.loads(path.read_text())["machine"]["cpu"] == "Abacus 9, family 6, model 1"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"torch": "2.14.0"}, "torch 2.13.0, here 2.14.0"),
        ({"cores": 64, "instruction_set": "avx512"}, "cores 2, here 64; instruction_set avx2, here avx512"),
    ],
)
def test_another_machine_has_no_baseline_and_hears_what_to_do(
    tmp_path: Path, other: dict[str, object], said: str
) -> None:
    Baseline.of([run_of(1.0)] * 2).save(tmp_path)
    with pytest.raises(NoBaseline) as caught:
        find(machine.kind(samples.machine(**other)), tmp_path)
    assert said in str(caught.value)
    assert "make bench-baseline, on the commit before the change" in str(caught.value)


def test_a_folder_without_baselines_has_none(tmp_path: Path) -> None:
    with pytest.raises(NoBaseline, match="There is no baseline for this machine"):
        find(machine.here(), tmp_path / "nowhere")


def test_runs_that_do_not_belong_together_are_refused() -> None:
    one = run_of(1.0)
    with pytest.raises(ValueError, match="at least 2, which show a spread, got 1"):
        Baseline.of([one])
    with pytest.raises(ValueError, match="one machine and one commit, got several"):
        Baseline.of([one, replace(one, commit="3c4d")])
    with pytest.raises(ValueError, match="one machine and one commit, got several"):
        Baseline.of([one, replace(one, machine=samples.machine(torch="2.14.0"))])
    with pytest.raises(ValueError, match=r"in some only: .*test_1"):
        Baseline.of([one, run_of(1.0, 1.0)])
    with pytest.raises(ValueError, match="got the short one"):
        Baseline.of([replace(one, machine=samples.machine(short=True))] * 2)


@pytest.mark.parametrize("content", ['{"format": 2}', "[]"])
def test_another_format_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"old\.json: expected format 1, got"):
        Baseline.load(path)


def test_what_is_committed_can_be_read() -> None:
    for path in FOLDER.glob("*.json"):
        baseline = Baseline.load(path)
        assert path.name == f"{machine.name(baseline.machine)}.json"
        assert baseline.runs >= 2
        assert "-dirty" not in baseline.commit
        assert all(known.low <= known.median <= known.high for known in baseline.ratios.values())


def test_this_machine_is_described_as_a_run_describes_it() -> None:
    assert machine.here().keys() == machine.kind(samples.MACHINE).keys()
