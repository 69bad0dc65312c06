"""``neurocensus compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .output import check_folder, print_paths, print_table


def compare(
    audits: Annotated[list[Path], typer.Argument(metavar="AUDIT...", help="Audit files (.safetensors).")],
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name to show an audit by; once per file, in order. Default: from the paths."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, the numbers as JSON and the plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Put audits beside one another: NNU, skewness, consistency, and accuracy where it is known.

    Example: neurocensus compare frozen/audit.safetensors tuned/audit.safetensors --out comparison
    """
    from .. import storage
    from ..compare import compare as beside_one_another

    names = name or names_of(audits)
    if len(names) != len(audits):
        raise ValueError(f"--name: expected one for each of the {len(audits)} files, got {len(names)}")
    if len(set(names)) != len(names):
        raise ValueError(f"--name: expected different names, got {', '.join(names)}")
    check_folder(out)
    found = beside_one_another(dict(zip(names, map(storage.load, audits), strict=True)))
    print_table(found, as_json=as_json)
    if out is not None:
        from ..report import save_all

        print_paths(save_all(found, out))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Names that tell files apart: the stems, or where these agree the ends of the paths that do not.

    ``a/plain/audit.safetensors`` and ``a/tuned/audit.safetensors`` are ``plain`` and ``tuned``.
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(paths):
        return stems
    parts = [path.absolute().with_suffix("").parts for path in paths]
    if len(set(stems)) == 1:
        parts = [part[:-1] for part in parts]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(paths):
            return ends
    raise ValueError("audits: the same file twice; give each file once, or names with --name")
