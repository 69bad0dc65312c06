"""``python -m benchmarks.harness``: the gate, its baselines, the document. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Final

from benchmarks.harness import check, document, machine, report
from benchmarks.harness.baselines import FOLDER, Baseline, NoBaseline, find
from benchmarks.harness.runs import GATED, ROOT, Run, measure

SLOWER: Final = 1
NO_BASELINE: Final = 3
"""Exit statuses; 2 is argparse's, for wrong arguments."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description=__doc__)
    commands = parser.add_subparsers(required=True)

    gate = commands.add_parser("check", help="hold the gated benchmarks against their baseline")
    gate.set_defaults(run=_check)
    write = commands.add_parser("baseline", help="measure the gated benchmarks and write the baseline")
    write.set_defaults(run=_baseline)
    write.add_argument("--runs", type=int, default=5, help="whole runs, each in a process of its own")
    for command in (gate, write):
        command.add_argument("--folder", type=Path, default=FOLDER, help="where baselines are")
        command.add_argument("--root", type=Path, default=ROOT, help="where pytest runs")
    gate.add_argument("paths", nargs="*", help="files or names of benchmarks; all by default")

    table = commands.add_parser("report", help="print all tables of a run as Markdown")
    table.set_defaults(run=_report)
    page = commands.add_parser("document", help="write docs/benchmarks.md and its plots from a run")
    page.set_defaults(run=_document)
    page.add_argument("--out", type=Path, default=document.PATH, help="the page; plots go beside it")
    table.add_argument("json", type=Path, help="as `make bench` writes it: build/bench.json")
    page.add_argument(
        "json", type=Path, nargs="+", help="the same; files that a later run has replace earlier"
    )

    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except NoBaseline as error:
        print(error, file=sys.stderr)
        return NO_BASELINE
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _check(chosen: argparse.Namespace) -> int:
    baseline = find(machine.here(), chosen.folder)  # first: measuring takes minutes
    run = measure([*GATED, *(chosen.paths or ["benchmarks"])], chosen.root)
    outcome = check.compare(run, baseline, whole=not chosen.paths)
    outcome = check.settle(outcome, partial(measure, root=chosen.root))
    print(f"Beside {baseline.runs} runs of {baseline.commit} on {baseline.date}:")
    print("\n".join(outcome.lines()))
    return 0 if outcome.passes else SLOWER


def _baseline(chosen: argparse.Namespace) -> int:
    runs = [measure([*GATED, "benchmarks"], chosen.root) for _ in range(chosen.runs)]
    print(f"Wrote {Baseline.of(runs).save(chosen.folder)}.")
    return 0


def _report(chosen: argparse.Namespace) -> int:
    print(report.markdown(Run.load(chosen.json)), end="")
    return 0


def _document(chosen: argparse.Namespace) -> int:
    first, *later = map(Run.load, chosen.json)
    for path in document.write(reduce(Run.with_later, later, first), chosen.out):
        print(f"Wrote {path}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
