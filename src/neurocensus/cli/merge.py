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
    allow_repeated: Annotated[
        bool,
        typer.Option(
            "--allow-repeated",
            help="Count a shard twice that is given twice (a file, a copy of it, part of an earlier merge): "
            "for different data that gave the very same numbers.",
        ),
    ] = False,
) -> None:
    """Join audits of one model over several data sets into one, as if the data had been one.

    Counts and extrema are exact, whatever the split. Example indices go on from file to file. Files are read
    one after another, so memory is needed for two of them, however many there are.

    Example: neurocensus merge monday.safetensors tuesday.safetensors --out week.safetensors
    """
    from .. import storage
    from ..merging import Merger

    if len(audits) < 2:
        raise ValueError(f"audits: expected two or more files to merge, got {len(audits)}")
    to_file = out.suffix.lower() == ".safetensors"
    _check_out(out, to_file)
    if not allow_repeated:
        _check_once(audits)
    merger = Merger(allow_repeated=allow_repeated)
    for path in audits:
        merger.add({str(path): storage.load(path)})
    merged = merger.audit()
    if to_file:
        merged.save(out)
        print_paths([out])
    else:
        from ..report import save_all

        print_paths(save_all(merged, out))
    typer.echo(repr(merged))


def _check_out(out: Path, to_file: bool) -> None:
    """Raise before the files are read, which may take long."""
    if not to_file:
        check_folder(out)
    elif not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"--out: expected a file in a folder that exists, got {out}; create it first")


def _check_once(audits: list[Path]) -> None:
    """The merger would notice too, after it has read all files in between."""
    seen: dict[Path, Path] = {}
    for path in audits:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise ValueError(
                f"audits: expected every file once, got {first} again as {path}; leave one out, or pass "
                "--allow-repeated to count it twice"
            )
