"""Counts the core's instructions and holds them against the committed baseline.

Exit status: 0 the rule holds (or the baseline was written), 1 it does not, 2 wrong usage, 3 there is no
baseline for these tools, 4 nothing can be counted here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.instructions.callgrind import CannotCount, CountedWrong, measure
from benchmarks.instructions.counts import Counts, file_name
from benchmarks.instructions.rule import RULE, judge
from benchmarks.instructions.table import lines
from neurocensus.storage import write_text

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "instructions"  # of the CMake preset `instructions`
PROGRAM = BUILD / "benchmarks" / "instructions" / "instructions"
HELD, BROKEN, NO_BASELINE, CANNOT_COUNT = 0, 1, 3, 4


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="write the baseline for these tools")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the built program")
    parser.add_argument("--baselines", type=Path, default=HERE, help="folder of the baselines")
    parser.add_argument("tests", nargs="*", help="only these tests of the program, such as `rows merging`")
    args = parser.parse_args(given)
    if args.write and args.tests:
        parser.error("--write: a baseline is of all cases; name no tests with it")
    return args


def main(given: Sequence[str] | None = None) -> int:
    args = arguments(given)
    try:
        now = measure(args.program, args.program.parent / "callgrind.out", args.tests)
    except CannotCount as error:
        print(f"Nothing was counted: {error}", file=sys.stderr)
        return CANNOT_COUNT
    except CountedWrong as error:
        print(error, file=sys.stderr)
        return BROKEN
    print("\n".join(lines(now)), end="\n\n")
    path = args.baselines / file_name(now.tools)
    if args.write:
        write_text(path, now.dump())
        print(f"Written: {path}")
        return HELD
    return compare(now, path, some=bool(args.tests))


def compare(now: Counts, path: Path, *, some: bool) -> int:
    """Say how `now` differs from the baseline at `path`; with `some`, of the cases that were counted."""
    if not path.exists():
        return no_baseline(now, f"there is no {path}")
    try:
        baseline = Counts.parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        print(f"{path}: {error}; write it again: make instructions-baseline", file=sys.stderr)
        return BROKEN
    if unlike := [name for name in now.tools if now.tools[name] != baseline.tools.get(name)]:
        wanted = ", ".join(f"{name} {baseline.tools.get(name)}" for name in unlike)
        return no_baseline(now, f"{path} is for {wanted}")
    verdict = judge(now, baseline.only(now.cases) if some else baseline)
    for heading, differences in (
        ("Faster", sorted(verdict.better, key=lambda change: change.share)),
        ("Other cases than the baseline's", verdict.unmatched),
        ("Slower", sorted(verdict.worse, key=lambda change: -change.share)),
    ):
        if differences:
            print("\n  ".join([f"{heading}:", *map(str, differences)]))
    if verdict.holds:
        print(f"{len(now.cases)} cases hold against {path}.")
        if verdict.better:
            print("Keep what was gained, commit a new baseline: make instructions-baseline")
        return HELD
    print(f"{RULE}\nIf the change is worth it, commit a new baseline and say why: make instructions-baseline")
    return BROKEN


def no_baseline(now: Counts, reason: str) -> int:
    tools = ", ".join(f"{name} {value}" for name, value in now.tools.items())
    print(f"Not held against anything: counts are exact for one set of tools, and {reason}. Here: {tools}.\n"
          "Write a baseline on the commit before the change (make instructions-baseline), "
          "then count again on the change.", file=sys.stderr)  # fmt: skip
    return NO_BASELINE


if __name__ == "__main__":
    sys.exit(main())
