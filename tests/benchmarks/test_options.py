"""The options of a run of benchmarks, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.harness.runs import ROOT
from benchmarks.workloads.sizes import VARIABLE, size

BENCHMARK = """
import subprocess, sys
import pytest
from benchmarks.workloads.sizes import size

SIZE = size(1000, 10)

@pytest.mark.benchmark(group="work")
def test_work(record):
    rounds = []
    turns = record.turns({"ours": lambda: rounds.append(0), "theirs": lambda: sum(range(1000))}, rounds=9)
    record.ratio("times faster", turns.ratio("ours", "ours"), better="higher", target="sweeps")
    record.target("merge, share of a read", turns.ratio("ours", "ours"))
    child = "from benchmarks.workloads.sizes import size; print(size(1000, 10))"
    inherited = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    print(f"\\nsize {SIZE}, in a child {inherited.stdout.strip()}, rounds {len(rounds)}")
"""


def pytest_output(tmp_path: Path, *options: str) -> tuple[int, str]:
    (tmp_path / "test_work.py").write_text(BENCHMARK)
    command = [sys.executable, "-m", "pytest", "-s", "-p", "benchmarks.conftest", "test_work.py", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    environment.pop(VARIABLE, None)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_short_form_runs_each_way_once_on_small_workloads(tmp_path: Path) -> None:
    status, output = pytest_output(tmp_path, "--short", "--gate")
    assert "size 10, in a child 10, rounds 1" in output
    assert "targets" not in output
    assert status == 0


def test_a_missed_target_fails_its_benchmark_where_targets_are_gates(tmp_path: Path) -> None:
    status, output = pytest_output(tmp_path, "--gate", "--rounds", "2")
    assert "size 1000, in a child 1000, rounds 3" in output  # one of them to warm up
    assert "met           1  (1 to 1)  at least 0.4" in output
    assert "MISSED        1  (1 to 1)  at least 25" in output
    assert "a sweep of 50 networks: times faster than one by one: 1, expected at least 25" in output
    assert "not measured: rows; columns;" in output
    assert "1 failed" in output
    assert status == 1


def test_sizes_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert size("full", "short") == "full"
    monkeypatch.setenv(VARIABLE, "1")
    assert size("full", "short") == "short"
