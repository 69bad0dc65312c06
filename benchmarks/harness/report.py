"""From a run to Markdown: the machine, the targets, and one table per group of benchmarks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import Benchmark, Run
from benchmarks.harness.targets import TARGETS
from neurocensus.text import printable

FASTER: Final = "times faster than "
"""How the ratios begin that name a peer."""
_UNITS = {"gb_per_s": "GB/s", "mib": "MiB", "ms": "ms", "us": "us"}  # as parts of a name


def markdown(run: Run) -> str:
    """All of a run: kept beside others, to be compared by eye."""
    lines = ["# Benchmarks", "", *machine(run), "", "## Targets", "", *targets(run.benchmarks)]
    for group, members in groups(run.benchmarks).items():
        lines += ["", f"## {capital(group)}", "", *group_table(members)]
    return "\n".join(lines) + "\n"


def machine(run: Run) -> list[str]:
    """A table of what the run was made on and with."""
    info = run.machine
    ours, cpu = info["neurocensus"], info["cpu"]
    packages = (f"{name} {version}" for name, version in ours["packages"].items() if version is not None)
    missing = [name for name, version in ours["packages"].items() if version is None]
    rows = [
        ("CPU", f"{cpu.get('brand_raw', info['machine'])}, {ours['cores']} cores"),
        ("memory", f"{ours['memory_gib']} GiB"),
        ("system", ours["system"]),
        ("compiler", ours["compiler"]),
        ("instruction set", ours["instruction_set"]),
        ("Python", f"{info['python_implementation']} {info['python_version']}"),
        ("packages", ", ".join(packages)),
        *([("not installed", ", ".join(missing))] if missing else []),
        ("threads", ours["threads"]),
        ("commit", run.commit),
        ("date", run.date),
    ]
    return table(["", "machine"], rows)


def targets(benchmarks: Iterable[Benchmark]) -> list[str]:
    """A table of all targets, also of those that were not measured."""
    outcomes = [outcome for one in benchmarks for outcome in one.targets]
    rows: list[Sequence[Any]] = []
    for name, target in TARGETS.items():
        found = [outcome for outcome in outcomes if outcome["target"] == name]
        for one in found:
            spread = "" if one["low"] == one["high"] else f"{one['low']:.3g} to {one['high']:.3g}"
            met = "yes" if one["met"] else "**no**"
            rows.append((target.what, one["case"], target.asked, f"{one['value']:.3g}", spread, met))
        if not found:
            rows.append((target.what, "", target.asked, "not measured", "", ""))
    return table(["what", "case", "target", "median", "range", "met"], rows)


def groups(benchmarks: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    """The benchmarks of each group, in the order of the run."""
    found: dict[str, list[Benchmark]] = {}
    for one in benchmarks:
        found.setdefault(one.group, []).append(one)
    return found


def group_table(members: Sequence[Benchmark]) -> list[str]:
    """One row per benchmark: what it is, the candidate's time, ratios with their range, notes."""
    functions = unique(one.name.partition("[")[0] for one in members)
    params = unique(key for one in members for key in one.params)
    ratios = unique(key for one in members for key in one.ratios)
    notes = unique(key for one in members for key in one.notes)
    peers = [key for key in ratios if key.startswith(FASTER)]
    if len(peers) > 1:  # one column for all, not one for each
        params = [key for key in params if key != "peer"]
        ratios = [key for key in ratios if key not in peers]
    else:
        peers = []
    columns: list[tuple[str, Callable[[Benchmark], str]]] = [
        *((heading(key), _of("params", key)) for key in params),
        *([(FASTER.strip(), _peers)] if peers else []),
        ("time", lambda one: duration(one.seconds)),
        *((key, _ratio_of(key)) for key in ratios),
        *((heading(key), _of("notes", key)) for key in notes),
    ]
    if len(functions) > 1:
        columns.insert(0, ("case", lambda one: _spoken(one.name)))
    return table(
        [column for column, _ in columns], [[cell_of(one) for _, cell_of in columns] for one in members]
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table in GitHub's Markdown. Cells may hold Markdown; a bar in them is escaped."""
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row in rows:
        lines.append(f"| {' | '.join(printable(str(cell)).replace('|', chr(92) + '|') for cell in row)} |")
    return lines


def heading(key: str) -> str:
    """The name of a number as a heading: ``plain_read_gb_per_s`` is "plain read GB/s"."""
    for name, unit in _UNITS.items():
        if key == name or key.endswith(f"_{name}"):
            return f"{key[: -len(name)].replace('_', ' ')}{unit}"
        if key.startswith(f"{name}_"):
            return f"{unit}{key[len(name) :].replace('_', ' ')}"
    return key.replace("_", " ")


def cell(value: Any) -> str:
    """A parameter or a note."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def spoken(key: str, value: Any) -> str:
    """A parameter within a sentence: "float32", "2 threads", "with histogram", or nothing."""
    if isinstance(value, bool):
        return f"with {heading(key)}" if value else ""
    if isinstance(value, (int, float)):
        return f"{cell(value)} {heading(key)}" if value != 1 else f"1 {heading(key).removesuffix('s')}"
    return str(value)


def number(value: float) -> str:
    """Three significant digits, and no exponent for what is large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratio(found: Ratio) -> str:
    """Its median, and the range of its rounds."""
    if found.low == found.high:
        return number(found.median)
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def duration(seconds: float) -> str:
    """With three significant digits in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def capital(words: str) -> str:
    """With a capital letter in front and the rest as it is."""
    return words[:1].upper() + words[1:]


def unique(names: Iterable[str]) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(names))


def _of(where: str, key: str) -> Callable[[Benchmark], str]:
    def cell_of(one: Benchmark) -> str:
        values: Mapping[str, Any] = getattr(one, where)
        return cell(values[key]) if key in values else ""

    return cell_of


def _ratio_of(key: str) -> Callable[[Benchmark], str]:
    return lambda one: ratio(one.ratios[key].ratio) if key in one.ratios else ""


def _peers(one: Benchmark) -> str:
    return "<br>".join(
        f"{name.removeprefix(FASTER)}: {ratio(stored.ratio)}"
        for name, stored in one.ratios.items()
        if name.startswith(FASTER)
    )


def _spoken(name: str) -> str:
    """``test_64_full_states[rows]`` is "64 full states": parameters have columns of their own."""
    return re.sub(r"^test_", "", name.partition("[")[0]).replace("_", " ")
