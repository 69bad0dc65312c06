"""From the JSON of a run to Markdown: ``python -m benchmarks.report run.json > run.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.gates import GATES

_UNITS = {"gb_per_s": "GB/s", "mib": "MiB", "ms": "ms", "us": "us"}  # as parts of a name


def markdown(run: dict[str, Any]) -> str:
    """The machine, the gates, and one table per group of benchmarks."""
    return "\n".join([*_machine(run), "", *_gates(run["benchmarks"]), *_groups(run["benchmarks"])]) + "\n"


def _machine(run: dict[str, Any]) -> Iterator[str]:
    info, commit = run["machine_info"], run["commit_info"]
    ours, cpu = info["neurocensus"], info["cpu"]
    dirty = " with uncommitted changes" if commit.get("dirty") else ""
    rows = [
        ("CPU", f"{cpu.get('brand_raw', info['machine'])}, {ours['cores']} cores"),
        ("memory", f"{ours['memory_gib']} GiB"),
        ("system", ours["system"]),
        ("compiler", ours["compiler"]),
        ("instruction set", ours["instruction_set"]),
        ("torch", ours["torch"]),
        ("Python", f"{info['python_implementation']} {info['python_version']}"),
        ("threads", ours["threads"]),
        ("commit", f"{commit.get('id', 'unknown')}{dirty}"),
        ("date", run["datetime"][:10]),
    ]
    yield "# Benchmark"
    yield ""
    yield from _table(["", "machine"], rows)


def _gates(benchmarks: Iterable[dict[str, Any]]) -> Iterator[str]:
    outcomes = [outcome for one in benchmarks for outcome in one["extra_info"].get("gates", [])]
    yield "## Targets"
    yield ""
    yield "Medians of the ratios of interleaved pairs, and their lowest and highest."
    yield ""
    rows = []
    for name, gate in GATES.items():
        found = [outcome for outcome in outcomes if outcome["gate"] == name]
        for one in found:
            spread = "" if one["low"] == one["high"] else f"{one['low']:.3g} to {one['high']:.3g}"
            rows.append((
                gate.what, one["case"], one["target"], f"{one['value']:.3g}", spread,
                "yes" if one["met"] else "**no**",
            ))  # fmt: skip
        if not found:
            rows.append((gate.what, "", gate.target, "not measured", "", ""))
    yield from _table(["what", "case", "target", "measured", "range", "met"], rows)


def _groups(benchmarks: Sequence[dict[str, Any]]) -> Iterator[str]:
    for group, members in groupby(benchmarks, key=lambda one: one["group"]):
        found = list(members)
        params = list(dict.fromkeys(key for one in found for key in one["params"] or {}))
        extras = list(dict.fromkeys(key for one in found for key in one["extra_info"] if key != "gates"))
        yield ""
        yield f"## {group[0].upper()}{group[1:]}"
        yield ""
        yield from _table(
            [*params, "median time", *map(_heading, extras)],
            [
                [
                    *(_cell((one["params"] or {}).get(key, "")) for key in params),
                    _time(one["stats"]["median"]),
                    *(_cell(one["extra_info"].get(key, "")) for key in extras),
                ]
                for one in found
            ],
        )


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"


def _heading(key: str) -> str:
    for name, unit in _UNITS.items():
        if key == name or key.endswith(f"_{name}"):
            return f"{key[: -len(name)].replace('_', ' ')}{unit}"
        if key.startswith(f"{name}_"):
            return f"{unit}{key[len(name) :].replace('_', ' ')}"
    return key.replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.report RUN.json > RUN.md")
    sys.stdout.write(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
