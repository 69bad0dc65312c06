"""A run of pytest-benchmark: made in a process of its own, and read from its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import machine
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Better

ROOT: Final = Path(__file__).parents[2]
"""Where pytest runs; names of benchmarks are paths from here."""
GATED: Final = ("-m", "gated")
"""pytest's options for the benchmarks of the gate."""
OWN_TABLES: Final = ("ratios", "targets")
"""Keys of ``extra_info`` that the recorder fills; all others are notes."""

Key = tuple[str, str]
"""A benchmark's full name, and the name of one of its ratios."""


@dataclass(frozen=True)
class Stored:
    """A ratio as a benchmark stored it."""

    ratio: Ratio
    better: Better


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of a run."""

    name: str
    """Function and parameters: ``test_update[rows-float32]``."""
    full_name: str
    """Path and name: what pytest calls the node."""
    group: str
    params: Mapping[str, Any]
    seconds: float
    """Median time of the candidate."""
    ratios: Mapping[str, Stored]
    targets: Sequence[Mapping[str, Any]]
    """What was held against a target; see `recorder.Recorder.target`."""
    notes: Mapping[str, Any]

    @property
    def file(self) -> str:
        return self.full_name.partition("::")[0]


@dataclass(frozen=True)
class Run:
    """A whole run."""

    machine: Mapping[str, Any]
    """What pytest-benchmark and `machine.describe` found."""
    commit: str
    """With ``-dirty`` behind it where files were changed."""
    date: str
    benchmarks: Sequence[Benchmark]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Run:
        """Read the JSON of a run.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no JSON of a run of these benchmarks.
        """
        try:
            return cls.parse(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}: expected the JSON of a run, as `pytest benchmarks --benchmark-json=...` writes it, "
                f"got {type(error).__name__}: {error}"
            ) from error

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Run:
        """From what pytest-benchmark writes."""
        commit = data["commit_info"]
        return cls(
            machine=data["machine_info"],
            commit=commit.get("id", "unknown") + ("-dirty" if commit.get("dirty") else ""),
            date=data["datetime"][:10],
            benchmarks=[_benchmark(one) for one in data["benchmarks"]],
        )

    @property
    def short(self) -> bool:
        """Were the workloads those of the short form?"""
        return bool(self.machine["neurocensus"]["short"])

    def with_later(self, later: Run) -> Run:
        """This run, with the files of benchmarks that `later` measured again in place of its own.

        The commit says which, and at which commit.

        Raises:
            ValueError: `later` was made on another kind of machine, or is of the other form.
        """
        here, there = machine.kind(self.machine), machine.kind(later.machine)
        if here != there or self.short != later.short:
            raise ValueError(f"later: expected a run on the same machine, {here}, got one on {there}")
        files = list(dict.fromkeys(one.file for one in later.benchmarks))
        kept = [one for one in self.benchmarks if one.file not in files]
        names = ", ".join(file.removeprefix("benchmarks/").removesuffix(".py") for file in files)
        commit = self.commit
        if later.commit != commit:
            commit = f"{commit}; {names} at {later.commit}"
        return replace(self, commit=commit, date=later.date, benchmarks=[*kept, *later.benchmarks])

    def ratios(self) -> dict[Key, Stored]:
        """Every ratio of every benchmark."""
        return dict(self._ratios())

    def _ratios(self) -> Iterator[tuple[Key, Stored]]:
        for one in self.benchmarks:
            for name, stored in one.ratios.items():
                yield (one.full_name, name), stored


def _benchmark(one: Mapping[str, Any]) -> Benchmark:
    extra = one["extra_info"]
    ratios = {}
    for name, fields in extra.get("ratios", {}).items():
        numbers = dict(fields)
        better: Better = numbers.pop("better")
        ratios[name] = Stored(Ratio(**numbers), better)
    return Benchmark(
        name=one["name"],
        full_name=one["fullname"],
        group=one["group"] or "",
        params=one["params"] or {},
        seconds=one["stats"]["median"],
        ratios=ratios,
        targets=extra.get("targets", ()),
        notes={key: value for key, value in extra.items() if key not in OWN_TABLES},
    )


def measure(arguments: Sequence[str], root: Path = ROOT) -> Run:
    """Run pytest with `arguments` in a fresh process at `root`, and read what it measured.

    Its output goes where ours goes.

    Raises:
        RuntimeError: a benchmark failed, or none was run.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        options = ("-q", "--benchmark-only", "--benchmark-quiet", f"--benchmark-json={path}")
        done = subprocess.run([sys.executable, "-m", "pytest", *options, *arguments], cwd=root, check=False)
        if done.returncode or not path.exists():
            raise RuntimeError(
                f"pytest {' '.join(arguments)}: expected benchmarks that pass, got exit status "
                f"{done.returncode}; see its output above"
            )
        return Run.load(path)
