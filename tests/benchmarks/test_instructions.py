"""The gate on instruction counts: reading callgrind's profile, the rule, and a real run under valgrind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.instructions import __main__ as program
from benchmarks.instructions.callgrind import (
    CountedWrong,
    joined,
    measure,
    parse_profile,
    parse_program,
)
from benchmarks.instructions.counts import SEPARATOR, Count, Counts, file_name
from benchmarks.instructions.rule import CASE, TOTAL, judge
from benchmarks.instructions.table import lines
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
TOOLS = {"compiler": "GNU 12.2.0", "flags": "-O3", "architecture": "x86_64", "valgrind": "3.19.0"}

words = st.text("abcdefghijklmnopqrstuvwxyz 0123456789_", min_size=1).map(str.strip).filter(bool)
names = st.tuples(st.sampled_from(["baseline", "avx2"]), words, words, words).map(SEPARATOR.join)
counted = st.builds(Count, st.integers(1, 10**9), st.integers(1, 11), st.integers(10_000, 10**12))
runs = st.dictionaries(names, counted, min_size=1).map(lambda cases: Counts(TOOLS, cases))


def times(counts: Counts, factor: float) -> Counts:
    """All cases with so many times the instructions, rounded down."""
    return Counts(
        counts.tools,
        {
            name: replace(one, instructions=int(one.instructions * factor))
            for name, one in counts.cases.items()
        },
    )


def with_one(counts: Counts, name: str, instructions: int) -> Counts:
    return Counts(
        counts.tools, {**counts.cases, name: replace(counts.cases[name], instructions=instructions)}
    )


# The rule.


@given(runs)
def test_a_run_holds_against_itself(run: Counts) -> None:
    verdict = judge(run, run)
    assert verdict.holds
    assert not verdict.better


@given(runs, st.data())
def test_a_case_beyond_its_tolerance_is_worse(run: Counts, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(run.cases)))
    most = int(run.cases[name].instructions * (1 + CASE))
    slower = judge(with_one(run, name, most + 1), run)
    assert not slower.holds
    assert slower.worse[0].what == name
    allowed = judge(with_one(run, name, most), run)
    assert name not in [change.what for change in allowed.worse]


@given(runs, st.floats(1.003, 1.009))
def test_a_little_more_of_everything_is_seen_in_the_total(run: Counts, factor: float) -> None:
    verdict = judge(times(run, factor), run)
    assert not verdict.holds
    assert len(verdict.worse) == len(run.totals())  # no case by itself
    assert all(change.what.endswith(", all cases") for change in verdict.worse)


@given(runs, st.floats(0.5, 0.98))
def test_faster_holds_and_is_told(run: Counts, factor: float) -> None:
    verdict = judge(times(run, factor), run)
    assert verdict.holds
    assert len(verdict.better) == len(run.cases) + len(run.totals())


@given(runs, runs)
def test_other_cases_never_hold(run: Counts, other: Counts) -> None:
    verdict = judge(run, other)
    same = {name: (one.values, one.statistics) for name, one in run.cases.items()} == {
        name: (one.values, one.statistics) for name, one in other.cases.items()
    }
    assert bool(verdict.unmatched) is not same


def test_what_is_unmatched_is_named() -> None:
    one = Count(100, 10, 1000)
    before = Counts(TOOLS, {"avx2 / gone": one, "avx2 / changed": one, "neon / a": one, "neon / b": one})
    now = Counts(TOOLS, {"avx2 / new": one, "avx2 / changed": Count(100, 11, 1000)})
    assert judge(now, before).unmatched == [
        "neon: in the baseline, but this CPU cannot run it, or valgrind cannot",
        "avx2 / gone: in the baseline, but not counted",
        "avx2 / new: counted, but not in the baseline",
        "avx2 / changed: 100 values and 11 statistics, in the baseline 100 and 10",
    ]


def test_the_tolerance_of_the_total_is_the_tighter_one() -> None:
    assert 0 < TOTAL < CASE


# What is kept.


@given(runs)
def test_what_is_written_is_read_again(run: Counts) -> None:
    assert Counts.parse(run.dump()) == run
    assert sum('"instructions": ' in line for line in run.dump().splitlines()) == len(run.cases)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 0}', '{"schema": 1, "cases": {"a": 1}}', "null"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected instruction counts of schema 1, got something else"):
        Counts.parse(text)


def test_totals_are_per_value_and_statistic() -> None:
    run = Counts({}, {"a / 1": Count(10, 10, 500), "a / 2": Count(10, 10, 300), "b / 1": Count(5, 2, 30)})
    assert run.totals() == {"a": 4.0, "b": 3.0}
    assert (run.cases["a / 1"].per_value, run.cases["a / 1"].per_statistic) == (50.0, 5.0)


def test_baselines_are_named_after_compiler_and_architecture() -> None:
    assert file_name(TOOLS) == "baseline-gnu-12.2.0-x86_64.json"


@pytest.mark.parametrize("path", sorted(program.HERE.glob("baseline-*.json")), ids=lambda path: path.name)
def test_committed_baselines_are_what_their_names_say(path: Path) -> None:
    baseline = Counts.parse(path.read_text(encoding="utf-8"))
    assert file_name(baseline.tools) == path.name
    assert baseline.dump() == path.read_text(encoding="utf-8")


def test_the_table_has_every_case_once() -> None:
    cases = {f"avx2 / rows / float32 / {call}": Count(100, 10, 1234) for call in ("first call", "streaming")}
    cases["avx2 / merging 8 states / float64 / streaming"] = Count(10, 10, 999)
    text = "\n".join(lines(Counts(TOOLS, cases)))
    assert text.count("12.34") == 2
    assert text.count("99.90") == 1
    assert text.endswith(
        f"avx2: {(2 * 1234 + 999) / 2100:.4f} instructions per value and statistic, all cases together"
    )


# Reading callgrind and the program.

HEADER = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npid: 1\ncmd:  ./instructions\n"


def part(number: int, name: str | None, total: int) -> str:
    trigger = "Program termination" if name is None else f"Client Request: {name}"
    return (
        f"part: {number}\n\n\ndesc: I1 cache: \n\ndesc: Timerange: Basic block 0 - 11245\n"
        f"desc: Trigger: {trigger}\n\npositions: line\nevents: Ir\nsummary: 0\n\n\nob=(1) ./instructions\n"
        f"fl=(1) ???\nfn=(0) main\n0 11\ncfn=(2) update\ncalls=1 0 \n0 {total}\n\ntotals: {total}\n\n"
    )


@given(st.dictionaries(names, st.integers(0, 2**60)))
def test_a_profile_gives_each_total_by_name(totals: dict[str, int]) -> None:
    parts = [part(i + 1, name, total) for i, (name, total) in enumerate(totals.items())]
    text = HEADER + "".join(parts) + part(len(parts) + 1, None, 0)
    assert parse_profile(text) == totals


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("totals: 7\n", ""),  # cut short
        ("totals: 7\n", "totals: 7\ntotals: 8\n"),
        ("totals: 7\n", "totals: 7 9\n"),
        ("events: Ir\n", "events: Ir Dr\n"),
        ("events: Ir\n", ""),
    ],
)
def test_a_profile_of_something_else_is_refused(old: str, new: str) -> None:
    text = HEADER + part(1, "avx2 / rows", 7)
    assert old in text
    with pytest.raises(CountedWrong, match="avx2 / rows: expected one total of the event Ir"):
        parse_profile(text.replace(old, new))


def test_what_the_program_says() -> None:
    said = "tool\tcompiler\tGNU 12\ncase\tavx2 / rows\t80000\t10\nok     rows\ncase\tavx2 / b\t5\t11\n"
    assert parse_program(said) == ({"compiler": "GNU 12"}, {"avx2 / rows": (80000, 10), "avx2 / b": (5, 11)})
    with pytest.raises(CountedWrong, match="two cases have one name: avx2 / b"):
        parse_program(said + "case\tavx2 / b\t5\t11\n")


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ({"a": 1}, "not by both: b"),
        ({"a": 1, "b": 2, "c": 3}, "not by both: c"),
        ({"a": 1, "b": 0}, "counted: b"),
    ],
)
def test_program_and_profile_must_agree(instructions: dict[str, int], message: str) -> None:
    with pytest.raises(CountedWrong, match=message):
        joined(TOOLS, {"a": (1, 10), "b": (1, 10)}, instructions)


# What the command answers.


@pytest.fixture
def run_of_one() -> Counts:
    return Counts(TOOLS, {"avx2 / rows / float32 / streaming": Count(100, 10, 100_000)})


@pytest.fixture
def baseline(tmp_path: Path, run_of_one: Counts) -> Path:
    path = tmp_path / file_name(TOOLS)
    path.write_text(run_of_one.dump())
    return path


def test_slower_is_a_failure_of_its_own(
    run_of_one: Counts, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.compare(run_of_one, baseline, some=False) == program.HELD
    assert program.compare(times(run_of_one, 1.02), baseline, some=False) == program.BROKEN
    said = capsys.readouterr().out
    assert "Slower:\n  avx2 / rows / float32 / streaming: +2.00% (100,000 to 102,000)" in said
    assert "make instructions-baseline" in said


def test_faster_asks_for_a_new_baseline(
    run_of_one: Counts, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.compare(times(run_of_one, 0.9), baseline, some=False) == program.HELD
    assert "commit a new baseline: make instructions-baseline" in capsys.readouterr().out


def test_some_cases_are_held_against_the_same_ones(run_of_one: Counts, baseline: Path) -> None:
    more = {**run_of_one.cases, "avx2 / columns / float32 / streaming": Count(100, 10, 1)}
    baseline.write_text(Counts(TOOLS, more).dump())
    assert program.compare(run_of_one, baseline, some=True) == program.HELD
    assert program.compare(run_of_one, baseline, some=False) == program.BROKEN


@pytest.mark.parametrize("tool", ["flags", "valgrind"])
def test_other_tools_have_no_baseline(
    run_of_one: Counts, baseline: Path, tool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Counts({**TOOLS, tool: "another"}, run_of_one.cases)
    assert program.compare(other, baseline, some=False) == program.NO_BASELINE
    said = capsys.readouterr().err
    assert f"{baseline} is for {tool} {TOOLS[tool]}" in said
    assert f"{tool} another" in said


def test_no_baseline_is_no_pass(
    run_of_one: Counts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baseline-clang.json"
    assert program.compare(run_of_one, path, some=False) == program.NO_BASELINE
    assert f"there is no {path}" in capsys.readouterr().err


def test_a_broken_baseline_is_named(
    run_of_one: Counts, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline.write_text(baseline.read_text()[:-20])
    assert program.compare(run_of_one, baseline, some=False) == program.BROKEN
    assert f"{baseline}: expected instruction counts" in capsys.readouterr().err


def test_without_valgrind_nothing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program.main([]) == program.CANNOT_COUNT
    assert "valgrind is not installed; install it" in capsys.readouterr().err


def test_a_baseline_is_of_all_cases(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(["--write", "rows"])
    assert stopped.value.code == 2
    assert "a baseline is of all cases" in capsys.readouterr().err


# A real run, of the smallest test of the program.

SMALL = "single_example"


def sources() -> Iterator[Path]:
    for folder in ("benchmarks/instructions", "cpp/src", "cpp/include"):
        yield from (ROOT / folder).rglob("*.[ch]pp")
    yield from (ROOT / "cpp" / "tests").glob("*.hpp")


@pytest.fixture(scope="module")
def built() -> Path:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    if not program.PROGRAM.exists():
        pytest.skip(f"{program.PROGRAM} is not built: make instructions-program")
    if program.PROGRAM.stat().st_mtime < max(path.stat().st_mtime for path in sources()):
        pytest.skip(f"{program.PROGRAM} is older than its sources: make instructions-program")
    return program.PROGRAM


def test_counts_do_not_depend_on_where_and_when(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = measure(built, tmp_path / "once.out", [SMALL])
    moved = shutil.copy(built, tmp_path / "under_a_name_of_another_length")
    monkeypatch.setenv("NEUROCENSUS_SIMD", "baseline")  # these reach the program of a user, not this one
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1")
    assert measure(Path(moved), tmp_path / "again.out", [SMALL]) == once
    parts = [name.split(SEPARATOR) for name in once.cases]
    assert {len(names) for names in parts} == {4}
    assert {names[0] for names in parts} <= {"baseline", "avx2", "neon"}
    assert {one.values for one in once.cases.values()} == {512}
    assert {one.statistics for one in once.cases.values()} == {10, 11}


def test_from_the_program_to_the_verdict(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--program", str(built), "--baselines", str(tmp_path), SMALL]
    assert program.main(command) == program.NO_BASELINE
    now = measure(built, tmp_path / "profile.out", [SMALL])
    path = tmp_path / file_name(now.tools)
    path.write_text(now.dump())
    assert program.main(command) == program.HELD
    path.write_text(times(now, 0.97).dump())
    assert program.main(command) == program.BROKEN
    assert capsys.readouterr().out.count("single example / float32 / streaming: +3.") == len(now.totals())


def test_a_failing_program_is_no_count(built: Path, tmp_path: Path) -> None:
    with pytest.raises(CountedWrong, match="exit status 1\nno test of that name"):
        measure(built, tmp_path / "profile.out", ["nothing"])
