"""``neurocensus merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AUDITS = typer.Argument(metavar="AUDIT...", help="Audit files (.safetensors), two or more, in order.")


def merge(
    audits: Annotated[list[Path], AUDITS],
    out: Annotated[Path, typer.Option(help="The audit file to write.")],
) -> None:
    """Join audits of one model over several data sets into one, as if the data had been one.

    Counts and extrema are exact, whatever the split. Example indices go on from file to file.

    Example: neurocensus merge monday.safetensors tuesday.safetensors --out week.safetensors
    """
    from .. import result, storage

    if len(audits) < 2:
        raise ValueError(f"audits: expected two or more files to merge, got {len(audits)}")
    merged = result.merge(*map(storage.load, audits))
    merged.save(out)
    typer.echo(f"{merged!r} in {out}")
