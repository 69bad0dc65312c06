"""What commands print and where they write. Numbers go to stdout, remarks to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .. import tables, text

if TYPE_CHECKING:
    from rich.console import Console

    from ..compare import Comparison
    from ..result import Audit


def check_folder(out: Path | None, option: str = "--out") -> None:
    """Raise before the work rather than after it, if a folder cannot be written to.

    Raises:
        ValueError: it is a file, or below one, or not writable.
    """
    if out is None:
        return
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise ValueError(f"{option}: expected a folder, or a path for a new one; {nearest} is a file")
    if not os.access(nearest, os.W_OK):
        raise ValueError(f"{option}: no permission to write to {nearest}")


def print_table(subject: Audit | Comparison, *, as_json: bool) -> None:
    """Print an audit or a comparison: its table, or everything as JSON."""
    if as_json:
        typer.echo(tables.json_text(subject.to_dict()), nl=False)
        return
    console().print(subject.table())


def console() -> Console:
    """Stdout for rich. A file or a pipe has no width, so tables there get room.

    A terminal too narrow for a table wraps its lines; rich would cut the numbers.
    """
    from rich.console import Console

    terminal = Console()
    return Console(width=max(terminal.width, 80)) if terminal.is_terminal else Console(width=140)


def print_paths(paths: Iterable[Path]) -> None:
    """Say what was written."""
    for path in paths:
        typer.echo(f"wrote {text.printable(str(path))}", err=True)
