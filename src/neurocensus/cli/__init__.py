"""The command line: one file per command.

Commands import what they need when they run, so that ``neurocensus --help`` needs neither torch nor
matplotlib.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from .._version import __version__
from . import audit, compare, demo, doctor, errors, experiment, merge, report

__all__ = ["app"]

app = typer.Typer(
    name="neurocensus",
    help="A census of a neural network: which units never fire, how strongly, how far each layer reaches.",
    epilog="Start with: neurocensus demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"neurocensus {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="NEUROCENSUS_DEBUG", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[  # read by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    errors.show_tracebacks = debug
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a character shows its number
        sys.stdout.reconfigure(errors="backslashreplace")


app.command()(errors.reported(demo.demo))
app.command(no_args_is_help=True)(errors.reported(audit.audit))
app.add_typer(experiment.app, name="experiment")
app.command(no_args_is_help=True)(errors.reported(compare.compare))
app.command(no_args_is_help=True)(errors.reported(merge.merge))
app.command(no_args_is_help=True)(errors.reported(report.report))
app.command()(errors.reported(doctor.doctor))
