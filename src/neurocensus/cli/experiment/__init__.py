"""``neurocensus experiment``: a group, one file per kind of experiment."""

from __future__ import annotations

import typer

from .. import errors
from . import investigate, published

__all__ = ["app"]

app = typer.Typer(
    help="Run the published experiments on your own images, beside the published numbers.",
    no_args_is_help=True,
)
for name, summary in published.SUMMARIES.items():
    app.command(name, help=published.help_text(name), short_help=summary, no_args_is_help=True)(
        errors.reported(published.experiment)
    )
app.command("investigate", no_args_is_help=True)(errors.reported(investigate.investigate))
