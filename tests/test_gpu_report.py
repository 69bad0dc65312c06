"""`make gpu` where there is no GPU: what it records and says, and a dry run of all that it measures."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import build, checks, clock, facts, run, small_run, verify
from benchmarks.gpu.bench import Bench, Missing
from benchmarks.gpu.record import FAILED, LATE, MISSING, PASSED, Record, outcomes, problems, unmeasured
from benchmarks.gpu.shell import Outcome, Shell
from benchmarks.gpu.sizes import DRY, GPU
from benchmarks.gpu.table import lines
from benchmarks.gpu.targets import GATES, LAYOUTS
from benchmarks.harness.ratios import Ratio

from neurocensus import UnitState, reference


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record.new(tmp_path / "run.json", device="a device", date="today", code={"commit": "1234"})


@pytest.fixture
def bench(record: Record) -> Bench:
    return Bench(record, "kernels", "cpu", clock.HostClock(), DRY)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, tmp_path / "log", os.environ, 60)


def on_disk(record: Record) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(record.path.read_text())
    return data


# What is recorded.


def test_every_step_is_on_disk_at_once(record: Record) -> None:
    assert on_disk(record)["complete"] is False
    record.update("stages", build={"state": PASSED})
    record.miss("no nvcc")
    record.miss("no nvcc")
    assert on_disk(record)["stages"] == {"build": {"state": PASSED}}
    assert on_disk(record)["missing"] == ["no nvcc"]
    assert list(record.path.parent.iterdir()) == [record.path]


def test_a_record_of_another_schema_is_refused(record: Record) -> None:
    record.data["schema"] = 0
    record.save()
    with pytest.raises(ValueError, match="expected schema 1, got 0"):
        Record.load(record.path)


def test_one_benchmark_that_fails_leaves_the_others(bench: Bench) -> None:
    with bench.case("breaks") as case:
        case.note(bytes=3)
        raise RuntimeError("out of order")
    with bench.case("cannot") as case:
        raise Missing("no such tool")
    with bench.case("works") as case:
        case.times("scan", [2e-6, 4e-6, 9e-6], per=2)
        case.gate("rows", Ratio.of([0.8, 0.9, 1.0]))
        case.gate("columns", Ratio.of([0.8]))
    broken, cannot, works = on_disk(bench.record)["benchmarks"]
    assert (broken["state"], broken["figures"]) == (FAILED, {"bytes": 3})
    assert "out of order" in broken["traceback"]
    assert (cannot["state"], cannot["reason"]) == (MISSING, "no such tool")
    assert works["figures"]["scan_us"] == pytest.approx(
        {"median": 2, "low": 1, "high": 4.5, "q1": 1.5, "q3": 3.25, "rounds": 3, "calls": 2}
    )
    assert [gate["met"] for gate in works["gates"]] == [True, False]
    assert problems(on_disk(bench.record)) == ["breaks: failed"]
    assert bench.record.data["missing"] == ["no such tool"]
    assert set(unmeasured(bench.record.data)) == set(GATES) - {"rows", "columns"}


def test_the_table_says_what_was_met_missed_and_not_done(bench: Bench) -> None:
    with bench.case("rows, float32") as case:
        case.gate("rows", Ratio.of([0.8, 0.9, 1.0]))
    with bench.case("columns, float32") as case:
        case.gate("columns", Ratio.of([0.4, 0.5, 0.6]))
    bench.record.update("stages", tests={"state": LATE, "seconds": 200.0, "reason": "stopped after 200 s"})
    bench.record.miss("no compute-sanitizer")
    text = "\n".join(lines(bench.record.data))
    rows = [line.split("  ") for line in text.splitlines()]
    found = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert found["rows, float32"] == ["0.9", "0.8 to 1", "at least 0.85", "yes"]
    assert found["columns, float32"][-1] == "NO"
    assert found["small call"] == ["not measured", "at most 12"]
    assert "tests: timed out" in text
    assert "no compute-sanitizer" in text
    assert text.endswith("This run was cut short.")


# How it is measured.


def test_rounds_alternate_and_the_first_are_dropped() -> None:
    done: list[str] = []

    def time_of(work: clock.Work) -> float:
        work()
        return {"a": 1.0, "b": 4.0}[done[-1]] + (100 if len(done) <= 4 else 0)

    pairs = clock.in_turn(time_of, lambda: done.append("a"), lambda: done.append("b"), 3)
    assert "".join(done) == "abbaabbaab"
    assert pairs.speedup == Ratio.of([4, 4, 4])
    assert pairs.cost == Ratio.of([0.25] * 3)


def test_repeats_fill_the_time_and_no_more() -> None:
    assert clock.repeats(lambda work: 0.01, lambda: None, 0.05, 50) == 5
    assert clock.repeats(lambda work: 0.01, lambda: None, 10, 50) == 50
    assert clock.repeats(lambda work: 9.0, lambda: None, 0.05, 50) == 1


def test_buffers_on_a_gpu_are_as_large_as_promised() -> None:
    assert all(np.prod(GPU.shapes[layout]) >= 64e6 for layout in LAYOUTS)
    assert GPU.shapes.keys() == DRY.shapes.keys()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("shape", "axis"), [((5, 3, 4, 2), 1), ((6, 3), 1), ((4, 5, 3), 2)])
def test_what_was_counted_is_verified(shape: tuple[int, ...], axis: int, dtype: torch.dtype) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0] = 0
    state = UnitState(3, histogram=True).update(x, axis)
    verify.assert_counted(state, x, axis)
    with pytest.raises(AssertionError):
        verify.assert_counted(state, x * 2, axis)


def test_the_histogram_it_is_held_against_is_the_definition() -> None:
    magnitudes = torch.tensor([0.0, 1e-45, 1e-30, 0.99, 1.0, 1.125, 3.9, 1e10, 3e38])
    values = torch.cat([magnitudes, -magnitudes]).reshape(1, 2, 9)
    np.testing.assert_array_equal(verify.histogram(values).numpy(), reference.histogram(values.numpy()))


def test_small_calls_agree_with_themselves_on_the_host(capsys: pytest.CaptureFixture[str]) -> None:
    small_run.main("cpu")
    assert "states agree" in capsys.readouterr().out


# The stages.


def test_commands_are_logged_and_stopped_in_time(shell: Shell) -> None:
    good = shell.run([sys.executable, "-c", "print('hello')"], 30)
    assert (good.state, good.output, good.reason) == (PASSED, "hello\n", "")
    bad = shell.run([sys.executable, "-c", "import sys; sys.exit('no luck')"], 30)
    assert (bad.state, bad.reason) == (FAILED, "exit status 1: no luck")
    start = time.monotonic()
    late = shell.run([sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"], 2)
    assert (late.state, late.output.split()[0]) == (LATE, "begun")
    assert time.monotonic() - start < 20
    assert shell.run(["/no/such/program"], 30).state == FAILED
    assert all(word in shell.log.read_text() for word in ("hello", "no luck", "begun", "/no/such/program"))


def test_nothing_starts_when_the_time_is_used_up(tmp_path: Path) -> None:
    late = Shell(tmp_path, tmp_path / "log", os.environ, 0).run([sys.executable, "-c", "print()"], 30)
    assert late.state == LATE


def test_totals_of_tests() -> None:
    xml = """<testsuites><testsuite>
      <testcase classname="tests.cuda" name="a"/>
      <testcase classname="tests.cuda" name="b"><failure message="3 != 4">trace</failure></testcase>
      <testcase classname="tests.cuda" name="c"><skipped message="too little memory"/></testcase>
      <testcase classname="" name="tests.d"><error message="collection failure"/></testcase>
    </testsuite></testsuites>"""
    found = checks.from_junit(xml)
    assert (found["passed"], found["failed"], found["errors"], found["skipped"]) == (1, 1, 1, 1)
    assert found["names_of_failed"] == ["tests.cuda::b: 3 != 4", "::tests.d: collection failure"]
    assert found["reasons_of_skipped"] == {"too little memory": 1}


def test_totals_of_tests_that_were_stopped() -> None:
    log = "tests/a.py::test_one[x y] PASSED  [ 1%]\ntests/a.py::test_two FAILED [ 2%]\ntests/a.py::test_three"
    found = checks.from_log(log)
    assert (found["passed"], found["failed"], found["incomplete"]) == (1, 1, True)
    assert found["names_of_failed"] == ["tests/a.py::test_two"]


@pytest.mark.parametrize(
    ("state", "status", "output", "expected"),
    [
        (PASSED, 0, "========= ERROR SUMMARY: 0 errors", PASSED),
        (FAILED, checks.FOUND, "========= RACECHECK SUMMARY: 2 hazards displayed (1 error)", FAILED),
        (FAILED, 1, "========= Error: Device not supported. Please refer to", MISSING),
        (FAILED, 1, "AssertionError: nonzero\n========= ERROR SUMMARY: 0 errors", FAILED),
        (PASSED, 0, "it did not look", FAILED),
        (LATE, -1, "", LATE),
    ],
)
def test_what_a_sanitizer_said(state: str, status: int, output: str, expected: str) -> None:
    assert checks.sanitized(Outcome(state, status, 1.0, output))["state"] == expected


def test_the_commit_of_an_exported_tree(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("1")
    unknown = facts.code(tmp_path, {})
    assert (unknown["commit"], unknown["dirty"]) == ("unknown", None)
    assert facts.code(tmp_path, {"COMMIT": "12ab"}) == unknown | {"commit": "12ab", "dirty": False}
    assert facts.code(tmp_path, {"COMMIT": "12ab-dirty"})["dirty"] is True
    (tmp_path / "src" / "a.py").write_text("2")
    assert facts.code(tmp_path, {})["sources"] != unknown["sources"]


def test_only_the_python_part_of_the_package_is_copied(tmp_path: Path) -> None:
    package = tmp_path / "neurocensus"
    (package / "cli").mkdir(parents=True)
    for name in ("state.py", "_cuda.other.so", "cli/app.py"):
        (package / name).write_text("")
    build.copy(package, tmp_path / "site")
    copied = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.*")}
    assert copied == {"state.py", "cli/app.py"}


def test_one_architecture_is_built_for() -> None:
    assert build.architecture_of("9.0") == "90-real"
    assert build.architecture_of(None) == ""


def test_what_a_build_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/no/python")
    monkeypatch.setattr(build, "nvcc", lambda: None)
    monkeypatch.setattr(build, "_pybind11", lambda: None)
    said = build.lacking()
    assert any("nvcc is not found" in sentence for sentence in said)
    assert any("pybind11" in sentence for sentence in said)


# All of it, but for the device.


def test_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In processes of their own, as on a machine with a GPU."""
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path), "--stages", "kernels"]) == 0
    (path,) = tmp_path.glob("gpu-*.json")
    data = json.loads(path.read_text())
    assert (data["complete"], data["dry"]) == (True, True)
    assert {name: stage["state"] for name, stage in data["stages"].items()} == {
        "kernels: kernels": PASSED, "kernels: calls": PASSED,
    }  # fmt: skip
    assert {gate["gate"] for gate in outcomes(data)} == {
        *LAYOUTS, *(f"{layout} with histogram" for layout in LAYOUTS), "small call",
    }  # fmt: skip
    one = next(each for each in data["benchmarks"] if each["name"] == "rows, float32, half-normal")
    share, times = one["figures"]["share_of_copy"], one["figures"]
    assert share["low"] <= share["median"] <= share["high"]
    size = np.prod(DRY.shapes["rows"]) * 4
    assert one["figures"]["bytes"] == size
    assert times["scan_gb_per_s"] == pytest.approx(size / times["scan_us"]["median"] / 1e3)
    assert times["copy_gb_per_s"] == pytest.approx(2 * size / times["copy_us"]["median"] / 1e3)
    said = capsys.readouterr().out
    assert "A dry run on the CPU" in said
    assert "calls in a CUDA graph were not measured: there is no CUDA device" in said


def test_a_dry_run_of_audits(record: Record) -> None:
    assert run.main("transformer", record.path, "cpu") == 0
    data = on_disk(record)
    assert {one["name"]: one["state"] for one in data["benchmarks"] if one["state"] != "measured"} == {}
    assert {gate["gate"] for gate in outcomes(data)} == {"transformer, eager", "transformer, compiled"}
    eager, compiled = (
        next(one["figures"] for one in data["benchmarks"] if one["name"] == f"audit of transformer, {way}")
        for way in ("eager", "compiled")
    )
    assert eager["layers"] == compiled["layers"] > DRY.depth
    assert eager["bytes"] == compiled["bytes"] > 0


def test_stages_that_do_not_exist_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path), "--stages", "build paint"])
    assert "expected some of build tests kernels audits sanitizer, got paint" in capsys.readouterr().err
