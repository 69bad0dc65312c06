"""The end of a run for people: ``python -m benchmarks.gpu.table gpu-DEVICE-COMMIT.json``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import Record, outcomes, problems, unmeasured
from benchmarks.gpu.targets import GATES


def lines(data: dict[str, Any]) -> Iterator[str]:
    """What, measured, target, ok; then what else is to be known."""
    code, machine = data["code"], data["machine"]
    dirty = {True: ", with uncommitted changes", None: ", perhaps with uncommitted changes"}
    driver, torch = machine.get("driver", "unknown"), machine.get("torch", "unknown")
    yield f"{data['device']}; driver {driver}; torch {torch}"
    yield f"commit {code.get('commit', 'unknown')}{dirty.get(code.get('dirty'), '')}; {data['date']}"
    if data["dry"]:
        yield "A dry run on the CPU, of next to nothing: its figures say nothing of speed."
    yield ""
    yield from _columns([("stage", "result", "seconds", ""), *_stages(data)])
    rows = [*_gates(data)]
    if rows:
        yield ""
        yield from _columns([("what", "measured", "range", "target", "ok"), *rows])
    for heading, found in (("did not go through", problems(data)), ("missing", data["missing"])):
        if found:
            yield ""
            yield f"{heading}:"
            yield from (f"  {line}" for line in found)
    if not data["complete"]:
        yield ""
        yield "This run was cut short."


def _stages(data: dict[str, Any]) -> Iterator[Sequence[str]]:
    for name, stage in data["stages"].items():
        yield name, stage["state"], f"{stage.get('seconds', 0):.0f}", stage.get("reason", "")


def _gates(data: dict[str, Any]) -> Iterator[Sequence[str]]:
    for one in outcomes(data):
        spread = f"{one['low']:.3g} to {one['high']:.3g}"
        yield one["case"], f"{one['value']:.3g}", spread, one["target"], "yes" if one["met"] else "NO"
    for name in unmeasured(data) if data["benchmarks"] else ():
        yield name, "not measured", "", GATES[name].asked, ""


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.gpu.table RUN.json")
    print("\n".join(lines(Record.load(Path(sys.argv[1])).data)))
