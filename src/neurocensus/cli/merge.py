"""``neurocensus merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import check_folder, print_paths

AUDITS = typer.Argument(metavar="AUDIT...", help="Audit files (.safetensors), two or more, in order.")


def merge(
    audits: Annotated[list[Path], AUDITS],
    out: Annotated[
        Path,
        typer.Option(
            help="An audit file to write (ends in .safetensors), or a folder for it, the page and the plots."
        ),
    ],
) -> None:
    """Join audits of one model over several data sets into one, as if the data had been one.

    Counts and extrema are exact, whatever the split. Example indices go on from file to file.

    Example: neurocensus merge monday.safetensors tuesday.safetensors --out week.safetensors
    """
    from .. import result, storage

    if len(audits) < 2:
        raise ValueError(f"audits: expected two or more files to merge, got {len(audits)}")
    to_file = out.suffix.lower() == ".safetensors"
    if not to_file:
        check_folder(out)
    merged = result.merge(*map(storage.load, audits))
    if to_file:
        merged.save(out)
        print_paths([out])
    else:
        from ..report import save_all

        print_paths(save_all(merged, out))
    typer.echo(repr(merged))
