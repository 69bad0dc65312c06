"""What ratios were, with their spread, on one kind of machine: committed as JSON, one file for each."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import machine
from benchmarks.harness.recorder import Better
from benchmarks.harness.runs import ROOT, Key, Run, Stored
from neurocensus.storage import write_text

FORMAT: Final = 1
FOLDER: Final = ROOT / "benchmarks" / "baselines"


@dataclass(frozen=True)
class Known:
    """One ratio of one benchmark over several whole runs, each a process of its own."""

    better: Better
    median: float
    """Of the runs' medians."""
    low: float
    """The lowest of the runs' medians; with `high`, the spread between runs."""
    high: float
    q1: float
    """Quartiles of the rounds within a run: the median of the runs'. To be read; no rule uses them."""
    q3: float
    rounds: int

    @classmethod
    def of(cls, runs: Sequence[Stored]) -> Known:
        """The same ratio of each run."""
        medians = [stored.ratio.median for stored in runs]
        return cls(
            better=runs[0].better,
            median=statistics.median(medians),
            low=min(medians),
            high=max(medians),
            q1=statistics.median(stored.ratio.q1 for stored in runs),
            q3=statistics.median(stored.ratio.q3 for stored in runs),
            rounds=runs[0].ratio.rounds,
        )


@dataclass(frozen=True)
class Baseline:
    """What was measured on one kind of machine.

    Attributes:
        machine: see `machine.kind`; a baseline holds for this and nothing else.
        packages: versions of what the benchmarks use.
        commit: of the runs; with ``-dirty`` behind it where files were changed.
        date: of the last run, ``2026-11-21``.
        runs: how many whole runs.
        seconds: the candidate's median time, for each benchmark by its full name; kept, never held against.
        ratios: for each benchmark and ratio.
    """

    machine: Mapping[str, Any]
    packages: Mapping[str, str | None]
    commit: str
    date: str
    runs: int
    seconds: Mapping[str, float]
    ratios: Mapping[Key, Known]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Baseline:
        """From whole runs of the same benchmarks on the same machine.

        Raises:
            ValueError: fewer than two runs; a short form; runs that differ in machine, commit or benchmarks.
        """
        if len(runs) < 2:
            raise ValueError(f"runs: expected at least 2, which show a spread, got {len(runs)}")
        first = runs[0]
        if any(run.short for run in runs):
            raise ValueError("runs: expected the full form, got the short one, which times nothing")
        for run in runs[1:]:
            if (run.commit, machine.kind(run.machine)) != (first.commit, machine.kind(first.machine)):
                raise ValueError("runs: expected one machine and one commit, got several")
            if odd := run.ratios().keys() ^ first.ratios().keys():
                raise ValueError(f"runs: expected the same ratios in each, got in some only: {sorted(odd)}")
        every = [run.ratios() for run in runs]
        times = [{one.full_name: one.seconds for one in run.benchmarks} for run in runs]
        return cls(
            machine=machine.kind(first.machine),
            packages=first.machine["neurocensus"]["packages"],
            commit=first.commit,
            date=runs[-1].date,
            runs=len(runs),
            seconds={name: statistics.median(run[name] for run in times) for name in times[0]},
            ratios={key: Known.of([run[key] for run in every]) for key in every[0]},
        )

    def save(self, folder: Path = FOLDER) -> Path:
        """Write the file of this machine, atomically; an older one is replaced."""
        benchmarks: dict[str, dict[str, Any]] = {
            name: {"seconds": seconds, "ratios": {}} for name, seconds in self.seconds.items()
        }
        for (name, ratio), known in self.ratios.items():
            benchmarks[name]["ratios"][ratio] = asdict(known)
        data = {
            "format": FORMAT, "machine": self.machine, "packages": self.packages, "commit": self.commit,
            "date": self.date, "runs": self.runs, "benchmarks": benchmarks,
        }  # fmt: skip
        path = folder / f"{machine.name(self.machine)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a file.

        Raises:
            ValueError: it is of another format.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else data
            raise ValueError(f"{path}: expected format {FORMAT}, got {found!r}; write it anew: {ANEW}")
        return cls(
            **{key: data[key] for key in ("machine", "packages", "commit", "date", "runs")},
            seconds={name: one["seconds"] for name, one in data["benchmarks"].items()},
            ratios={
                (name, ratio): Known(**fields)
                for name, one in data["benchmarks"].items()
                for ratio, fields in one["ratios"].items()
            },
        )


ANEW: Final = "make bench-baseline, on the commit before the change"


class NoBaseline(LookupError):
    """There is none for this machine; the message says what to do."""


def find(here: Mapping[str, Any], folder: Path = FOLDER) -> Baseline:
    """The baseline of a kind of machine, see `machine.kind`.

    Raises:
        NoBaseline: there is none, or the machine's was taken with other versions.
    """
    others = []
    for path in sorted(folder.glob("*.json")):
        baseline = Baseline.load(path)
        if baseline.machine == here:
            return baseline
        others.append(f"{path.name}: {'; '.join(_differences(baseline.machine, here))}")
    lines = [
        f"There is no baseline for this machine ({machine.name(here)}): a slowdown cannot be told.",
        *(f"  {other}" for other in others),
        f"Take one: {ANEW}; then make bench-check, on the change.",
    ]
    raise NoBaseline("\n".join(lines))


def _differences(theirs: Mapping[str, Any], here: Mapping[str, Any]) -> Iterable[str]:
    for key in dict.fromkeys([*here, *theirs]):
        if theirs.get(key) != here.get(key):
            yield f"{key} {theirs.get(key)}, here {here.get(key)}"
