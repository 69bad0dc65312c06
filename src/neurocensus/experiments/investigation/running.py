"""From the setup to everything that the report shows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...sweeps.grid import Progress
from ...sweeps.permutations import freeze_every_way
from ...sweeps.plan import Baseline, Sweep, published_sweeps
from ...sweeps.problem import Problem
from ...sweeps.running import run as run_sweeps
from ...sweeps.table import SweepTable
from ...text import file_name
from ...threads import torch_threads
from .setup import FREEZING, FROZEN_SWEEPS, SWEEPS, Setup, variants
from .studied import Studied, study

Note = Callable[[str], None]


@dataclass(frozen=True)
class Investigation:
    """What came out."""

    setup: Setup
    studied: Mapping[str, Studied]
    """The three networks by name: the source's, the target's, and the one that went from one to the other."""
    sweeps: SweepTable | None
    """Of all three."""
    freezing: list[dict[str, Any]] | None
    """The transferred network with every subset of its layers frozen, see `neurocensus.sweeps`."""
    frozen_sweeps: SweepTable | None
    """Sweeps of the transferred network by what is frozen, which is what "network" says there."""


def run(setup: Setup, folder: Path, *, progress: bool = True, on_start: Note | None = None) -> Investigation:
    """Train, sweep and look; what is done is not done again.

    Args:
        folder: gets the networks and the records of the sweeps.
        progress: show bars, on a terminal only.
        on_start: told in words what begins, where there is work to do.

    Raises:
        TypeError, ValueError: see `Problem.of` and `neurocensus.sweeps.run`.
    """
    say = on_start or (lambda _: None)
    problems, (source, _, both) = setup.problems(), setup.names
    options: dict[str, Any] = {"dtype": setup.dtype, "device": setup.device}
    with torch_threads(setup.threads), _bar(progress) as bar:
        studied: dict[str, Studied] = {}
        baselines: dict[str, Baseline] = {}
        for name, problem in problems.items():
            baselines[name] = setup.baseline(
                name, problem.inputs, studied[source].network if name == both else None
            )
            pair = setup.source if name == source else setup.target
            kept = folder / "networks" / file_name(name)
            studied[name] = study(baselines[name], pair, problem, kept, on_start=say)

        def sweep(name: str, baseline: Baseline, problem: Problem, kept: Path) -> SweepTable:
            def begin(one: Sweep) -> Progress:
                say(f"{name}: {len(one.values)} networks, sweep of {one.name}")
                return bar(setup.updates)

            sweeps = published_sweeps(baseline, setup.scale)
            return run_sweeps(sweeps, problem, folder=kept, on_start=begin, **options)

        swept = None
        if setup.wants(SWEEPS):
            swept = _joined(
                sweep(name, baselines[name], problem, folder / SWEEPS) for name, problem in problems.items()
            )

        def begin_freezing() -> Progress:
            say(f"{both}: every subset of frozen layers")
            return bar(setup.updates)

        freezing = None
        if setup.wants(FREEZING):
            freezing = freeze_every_way(
                baselines[both], problems[both], folder=folder / FREEZING, on_start=begin_freezing, **options
            )
        frozen = None
        if setup.wants(FROZEN_SWEEPS):
            frozen = _joined(
                sweep(
                    f"{both}, frozen: {name}",
                    replace(baselines[both], name=name, frozen=layers),
                    problems[both],
                    folder / FROZEN_SWEEPS,
                )
                for name, layers in variants(baselines[both]).items()
            )
    return Investigation(setup, studied, swept, freezing, frozen)


def _joined(parts: Iterator[SweepTable]) -> SweepTable:
    return SweepTable(record for table in parts for record in table.records)


@contextlib.contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[int], Progress]]:
    """A function that starts a bar of so many updates, and gives what moves it."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda total: lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", visible=False)

        def start(total: int) -> Progress:
            bars.reset(task, total=total, visible=True)
            return lambda done: bars.update(task, completed=done)

        yield start
