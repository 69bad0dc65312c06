"""The gate from end to end: benchmarks in processes of their own, one of which becomes slower."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.harness.__main__ import NO_BASELINE, SLOWER, main
from benchmarks.harness.runs import ROOT

BENCHMARKS = '''
"""Time is counted work, give or take 2 %: what comes out does not depend on what else the machine does."""

import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.harness import ratios

STARTS = Path(__file__).with_name("starts")
with open(STARTS, "a") as file:
    file.write(".")
RANDOM = random.Random(STARTS.stat().st_size)  # another in each process, the same in each test run
WORK = float(os.environ.get("WORK", "1"))
now = 0.0


def work(units):
    global now
    now += units * RANDOM.uniform(0.98, 1.02)


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(ratios, "time", SimpleNamespace(perf_counter=lambda: now))


@pytest.mark.gated
@pytest.mark.benchmark(group="work")
@pytest.mark.parametrize("case", ["changed", "as it was"])
def test_work(record, case):
    units = WORK if case == "changed" else 1
    turns = record.turns({"ours": lambda: work(units), "theirs": lambda: work(2)}, rounds=15)
    record.ratio("times faster than theirs", turns.ratio("theirs", "ours"), better="higher")


@pytest.mark.benchmark(group="work")
def test_left_out(record):
    raise AssertionError("this is not gated")
'''


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options for a project of two gated benchmarks."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "test_work.py").write_text(BENCHMARKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p benchmarks.conftest\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    return ["--root", str(tmp_path), "--folder", str(tmp_path / "baselines")]


def test_a_slowdown_is_seen(
    where: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *where]) == NO_BASELINE  # before anything is measured
    said = capfd.readouterr()
    assert "There is no baseline for this machine" in said.err
    assert "make bench-baseline" in said.err
    assert "passed" not in said.out

    assert main(["baseline", *where, "--runs", "2"]) == 0
    (path,) = (tmp_path / "baselines").iterdir()
    said = capfd.readouterr()
    assert f"Wrote {path}." in said.out
    assert said.out.count("2 passed, 1 deselected") == 2

    monkeypatch.setenv("WORK", "1.1")
    assert main(["check", *where]) == SLOWER
    said = capfd.readouterr()
    (worse,) = [line for line in said.out.splitlines() if line.startswith("WORSE")]
    assert "benchmarks/test_work.py::test_work[changed]: times faster than theirs 1.8" in worse
    assert said.out.count("\n1 passed") == 2  # what failed, and nothing else, is measured again

    assert main(["check", *where, "benchmarks/test_work.py::test_work[as it was]"]) == 0
    assert "1 ratios beside their baselines: 0 worse." in capfd.readouterr().out


def test_a_benchmark_that_breaks_is_no_pass(
    where: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORK", "none")
    assert main(["baseline", *where]) == 1
    assert "expected benchmarks that pass, got exit status 2" in capfd.readouterr().err
