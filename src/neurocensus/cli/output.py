"""What commands print and where they write. Numbers go to stdout, remarks to stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ..compare import Comparison
    from ..result import Audit


def check_folder(out: Path | None) -> None:
    """Raise before the work rather than after it, if a folder cannot be written to.

    Raises:
        ValueError: it is a file, or below one, or not writable.
    """
    if out is None:
        return
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise ValueError(f"--out: expected a folder, or a path for a new one; {nearest} is a file")
    if not os.access(nearest, os.W_OK):
        raise ValueError(f"--out: no permission to write to {nearest}")


def print_table(subject: Audit | Comparison, *, as_json: bool) -> None:
    """Print an audit or a comparison: its table, or everything as JSON."""
    if as_json:
        typer.echo(json.dumps(subject.to_dict(), indent=2, allow_nan=False))
        return
    console().print(subject.table())


def console() -> Console:
    """Stdout for rich. A file or a pipe has no width: tables there are not squeezed into 80 columns."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=140)


def print_paths(paths: Iterable[Path]) -> None:
    """Say what was written."""
    for path in paths:
        typer.echo(f"wrote {path}", err=True)
