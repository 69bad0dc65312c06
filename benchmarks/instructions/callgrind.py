"""Runs the program (instructions.cpp) under callgrind and reads what both say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.instructions.counts import Count, Counts

LIMIT = 300  # seconds; it takes about 20
_REQUEST = "desc: Trigger: Client Request: "


class CannotCount(RuntimeError):
    """Something is missing without which nothing can be counted here."""


class CountedWrong(RuntimeError):
    """The program failed: a result that was counted is not right, or it did not come to its end."""


def measure(program: Path, out: Path, tests: Sequence[str] = ()) -> Counts:
    """Count the instructions of all cases, or of those of some tests of the program.

    The profile is left in `out`, to be read by ``callgrind_annotate``.

    Raises:
        CannotCount: valgrind or the program is not there.
        CountedWrong: the program failed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CannotCount("valgrind is not installed; install it (Debian, Ubuntu: apt-get install valgrind)")
    if not program.exists():
        raise CannotCount(f"{program} is not built; build it: make instructions-program")
    out.unlink(missing_ok=True)
    command = [
        valgrind, "--quiet", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
        "--combine-dumps=yes", f"--callgrind-out-file={out}", str(program), *tests,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", timeout=LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CountedWrong(f"{program}: not done after {LIMIT} s") from None
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if not line.startswith(("case\t", "tool\t"))]
        raise CountedWrong(f"{program}: exit status {done.returncode}\n" + "\n".join(said[-30:]))
    tools, work = parse_program(done.stdout)
    version = subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=True).stdout
    return joined(
        {**tools, "valgrind": version.strip().removeprefix("valgrind-")}, work, parse_profile(out.read_text())
    )


def parse_program(output: str) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Tools by name, and values and statistics of each case, from lines of fields between tabs."""
    tools: dict[str, str] = {}
    work: dict[str, tuple[int, int]] = {}
    for line in output.splitlines():
        kind, *fields = line.split("\t")
        if kind == "tool":
            name, value = fields
            tools[name] = value
        elif kind == "case":
            name, values, statistics = fields
            if name in work:
                raise CountedWrong(f"two cases have one name: {name}")
            work[name] = int(values), int(statistics)
    return tools, work


def parse_profile(text: str) -> dict[str, int]:
    """Instructions of each dump that the program asked for, by the name it gave.

    A profile of combined dumps is made of parts, and "totals:" ends each ("Callgrind Format Specification" in
    valgrind's manual). Only instructions may have been counted ("events: Ir").
    """
    found: dict[str, int] = {}
    for part in re.split(r"^part: \d+$", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        name = next((line.removeprefix(_REQUEST) for line in lines if line.startswith(_REQUEST)), None)
        if name is None:
            continue  # the last one, at the program's end
        events = [line.partition(":")[2].strip() for line in lines if line.startswith("events:")]
        totals = [line.partition(":")[2].strip() for line in lines if line.startswith("totals:")]
        if events != ["Ir"] or len(totals) != 1 or not totals[0].isdecimal():
            raise CountedWrong(f"{name}: expected one total of the event Ir, got {totals} of {events}")
        found[name] = int(totals[0])
    return found


def joined(
    tools: Mapping[str, str], work: Mapping[str, tuple[int, int]], instructions: Mapping[str, int]
) -> Counts:
    """What the program says it did, and what callgrind says it took."""
    if absent := sorted(work.keys() ^ instructions.keys()):
        raise CountedWrong(f"said by the program or by callgrind, not by both: {'; '.join(absent)}")
    if empty := [name for name, count in instructions.items() if count == 0]:
        raise CountedWrong(f"no instructions were counted: {'; '.join(empty)}")
    return Counts(tools, {name: Count(*work[name], instructions[name]) for name in work})


def _environment() -> dict[str, str]:
    """Nothing that chooses instruction sets or tunes the C library."""
    kept = ("PATH", "VALGRIND_LIB")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}
