"""Run sweeps, one after the other, into one table."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable

from ..text import file_name
from .grid import Progress, train_and_measure
from .plan import Sweep
from .problem import Problem
from .table import SweepTable


def run(
    sweeps: Iterable[Sweep],
    problem: Problem,
    *,
    folder: str | os.PathLike[str] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    on_start: Callable[[Sweep], Progress | None] | None = None,
) -> SweepTable:
    """Train and measure all networks of these sweeps: each sweep as one batched computation.

    Networks that diverge are marked in the table, and the sweep goes on.

    Args:
        problem: what to train and to judge them on.
        folder: keeps the records of each finished sweep, and a checkpoint of the one under way: the same call
            goes on where it was. None: nothing is kept.
        dtype, device: see `train_together`.
        on_start: called before each sweep that has work to do; what it gives is told how many updates are
            done.

    Raises:
        TypeError, ValueError: what `train_together` raises; two sweeps of one name and network.
    """
    sweeps = list(sweeps)
    names = [f"{sweep.baselines[0].name}-{sweep.name}" for sweep in sweeps]
    if len(set(map(file_name, names))) < len(names):  # one would take the other's records for old ones
        raise ValueError(f"sweeps: expected each under its own name, got {', '.join(names)}")
    return SweepTable(
        record
        for sweep, name in zip(sweeps, names, strict=True)
        for record in train_and_measure(
            name,
            sweep.baselines,
            [{"sweep": sweep.name, "value": value} for value in sweep.values],
            problem,
            folder=folder,
            dtype=dtype,
            device=device,
            on_start=None if on_start is None else functools.partial(on_start, sweep),
        )
    )
