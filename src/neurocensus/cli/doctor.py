"""``neurocensus doctor``."""

from __future__ import annotations

import typer

from .output import console


def doctor() -> None:
    """Show what this installation can do, and what is wrong with it: exit code 0 if it is healthy, else 1.

    Versions, the compiled core and its instruction set, threads, CUDA and why.
    """
    from rich.table import Table
    from rich.text import Text

    from ..doctor import examine

    facts = examine()
    table = Table(show_header=False, box=None)
    for fact in facts:
        table.add_row(Text(fact.name), Text(fact.value, style="" if fact.healthy else "bold red"))
    console().print(table)
    wrong = [fact.name for fact in facts if not fact.healthy]
    if wrong:
        typer.echo(f"unhealthy: {', '.join(wrong)}", err=True)
        raise typer.Exit(1)
