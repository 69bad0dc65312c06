"""A run as Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.harness import report
from benchmarks.harness.__main__ import main
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import Benchmark, Run, Stored
from benchmarks.harness.targets import TARGETS
from hypothesis import given
from hypothesis import strategies as st

from .samples import MACHINE, benchmark, run

HIGHER = Stored(Ratio.of([0.5, 0.7, 0.9]), "higher")


def test_a_group_is_a_table_with_a_row_per_benchmark() -> None:
    members = [
        benchmark(
            "test_update[rows]",
            {"share of plain read": HIGHER},
            params={"layout": "rows", "histogram": False},
            notes={"gb_per_s": 12.345, "us_per_call": 1234.5},
        ),
        benchmark("test_update[columns]", params={"layout": "columns"}, seconds=2.5),
    ]
    assert report.group_table(members) == [
        "| layout | histogram | time | share of plain read | GB/s | us per call |",
        "| --- | --- | --- | --- | --- | --- |",
        "| rows | no | 1 ms | 0.7 (0.5 to 0.9) | 12.3 | 1234 |",
        "| columns |  | 2.5 s |  |  |  |",
    ]


def test_functions_of_a_group_are_told_apart() -> None:
    lines = report.group_table([benchmark("test_64_shards"), benchmark("test_full_states")])
    assert lines[2:] == ["| 64 shards | 1 ms |", "| full states | 1 ms |"]


def test_many_peers_share_a_column() -> None:
    members = [
        benchmark(f"test_peer[{peer}]", {f"times faster than {peer}": HIGHER}, params={"peer": peer})
        for peer in ("NumPy", "Captum")
    ]
    assert report.group_table(members)[0::3] == [
        "| times faster than | time |",
        "| Captum: 0.7 (0.5 to 0.9) | 1 ms |",
    ]
    assert "| NumPy: 0.7 (0.5 to 0.9) | 1 ms |" in report.group_table(members)


def test_every_target_has_a_row_also_without_a_figure() -> None:
    outcome = {"target": "rows", "case": "test_a", "value": 0.9, "low": 0.8, "high": 1.0, "met": True}
    missed = {"target": "merge", "case": "test_b", "value": 3.0, "low": 3.0, "high": 3.0, "met": False}
    lines = report.targets([benchmark("test_a", targets=[outcome, missed])])
    assert len(lines) == 2 + len(TARGETS)
    assert f"| {TARGETS['rows'].what} | test_a | at least 0.8 | 0.9 | 0.8 to 1 | yes |" in lines
    assert f"| {TARGETS['merge'].what} | test_b | at most 2 | 3 |  | **no** |" in lines
    assert f"| {TARGETS['torch'].what} |  | at least 10 | not measured |  |  |" in lines


def test_the_machine_names_what_is_installed_and_what_is_not() -> None:
    lines = "\n".join(report.machine(run([], commit="1a2b-dirty")))
    assert "| CPU | Abacus 9, 2 cores |" in lines
    assert "| packages | numpy 2.4.6 |" in lines
    assert "| not installed | captum |" in lines
    assert "| commit | 1a2b-dirty |" in lines


def test_names_cannot_break_a_table() -> None:
    name = "a|b\nc\x1b[31m"
    (row,) = report.group_table([benchmark("test_a", params={"layout": name})])[2:]
    assert row == "| a\\|b\\nc\\x1b[31m | 1 ms |"


@given(st.floats(1e-9, 1e6))
def test_durations_have_three_digits_and_a_unit(seconds: float) -> None:
    number, unit = report.duration(seconds).split()
    assert float(number) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit] == pytest.approx(seconds, rel=6e-3)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("layout", "rows", "rows"), ("threads", 1, "1 thread"), ("threads", 2, "2 threads"),
        ("histogram", True, "with histogram"), ("histogram", False, ""),
    ],
)  # fmt: skip
def test_parameters_in_words(key: str, value: object, words: str) -> None:
    assert report.spoken(key, value) == words


# What pytest-benchmark writes.


def stored_json() -> dict[str, object]:
    ratio = {"median": 0.7, "low": 0.5, "high": 0.9, "q1": 0.6, "q3": 0.8, "rounds": 3, "better": "higher"}
    one = {
        "name": "test_a", "fullname": "benchmarks/test_update.py::test_a", "group": None, "params": None,
        "stats": {"median": 0.001}, "extra_info": {"ratios": {"share": ratio}, "size": 3},
    }  # fmt: skip
    return {
        "machine_info": dict(MACHINE), "commit_info": {"id": "1a2b", "dirty": True},
        "datetime": "2026-11-21T15:44:48+00:00", "benchmarks": [one],
    }  # fmt: skip


def test_a_run_is_read_from_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(stored_json()))
    found = Run.load(path)
    assert (found.commit, found.date, found.short) == ("1a2b-dirty", "2026-11-21", False)
    assert found.ratios() == {
        ("benchmarks/test_update.py::test_a", "share"): Stored(
            Ratio(median=0.7, low=0.5, high=0.9, q1=0.6, q3=0.8, rounds=3), "higher"
        )
    }
    (one,) = found.benchmarks
    assert (one.file, one.notes, one.seconds) == ("benchmarks/test_update.py", {"size": 3}, 0.001)
    assert main(["report", str(path)]) == 0
    assert "| 1 ms | 0.7 (0.5 to 0.9) | 3 |" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"benchmarks": []}'])
def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    assert main(["report", str(path)]) == 1
    assert "run.json: expected the JSON of a run, as `pytest benchmarks" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_files_measured_again_take_the_place_of_older_ones() -> None:
    old = run(
        [_named("a/test_small.py::test_one[off-50]"), _named("a/test_large.py::test_two")], commit="1a2b"
    )
    new = run([_named("a/test_small.py::test_one[off]")], commit="3c4d")
    both = old.with_later(new)
    assert [one.full_name for one in both.benchmarks] == [
        "a/test_large.py::test_two", "a/test_small.py::test_one[off]",
    ]  # fmt: skip
    assert both.commit == "1a2b; a/test_small at 3c4d"
    with pytest.raises(ValueError, match="later: expected a run on the same machine"):
        old.with_later(run([], cores=99))


def _named(full_name: str) -> Benchmark:
    return replace(benchmark("test"), full_name=full_name)
