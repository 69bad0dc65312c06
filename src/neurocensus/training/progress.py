"""A progress bar on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

Report: TypeAlias = Callable[[int, int, "Mapping[str, float] | None"], None]
"""Called with the epoch (from 1), the steps done in it, and the last row of the history, if there is one."""


@contextmanager
def shown(wanted: bool, epochs: int, steps: int, done: int = 0) -> Iterator[Report]:
    """A function that shows where the training is; `done` steps of it were done before."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda epoch, step, row: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("train", total=epochs * steps, completed=done)

        def report(epoch: int, step: int, row: Mapping[str, float] | None) -> None:
            so_far = (
                f", validation loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.2%}"
                if row
                else ""
            )
            bar.update(
                task, completed=(epoch - 1) * steps + step, description=f"epoch {epoch} of {epochs}{so_far}"
            )

        yield report
