"""``neurocensus report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import check_folder, print_paths


def report(
    audit: Annotated[Path, typer.Argument(metavar="AUDIT", help="An audit file (.safetensors).")],
    out: Annotated[
        Path, typer.Option(help="A page to write (ends in .html), or a folder for the page and the plots.")
    ],
) -> None:
    """Draw the report of a saved audit again.

    Example: neurocensus report run/audit.safetensors --out run.html
    """
    from .. import storage

    if out.suffix.lower() in (".html", ".htm"):
        storage.load(audit).report(out)
        print_paths([out])
        return
    from ..report import save_all

    check_folder(out)
    print_paths(save_all(storage.load(audit), out))
