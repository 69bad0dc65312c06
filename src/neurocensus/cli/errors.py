"""Errors as the user meets them: one message on stderr and exit code 2."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from .. import text

P = ParamSpec("P")
R = TypeVar("R")

# Set by --debug. Typer keeps no state of ours, and the wrapper below must know.
show_tracebacks = False
where = ""
"""Of several processes, which one it was."""


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: what it raises becomes a message, unless tracebacks are asked for; warnings do too."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                return command(*args, **kwargs)
            except (typer.Exit, typer.Abort, BrokenPipeError):  # the last: `neurocensus ... | head`
                raise
            except Exception as error:
                if show_tracebacks:
                    raise
                _say(f"error{where}: {_message(error)}")
                raise typer.Exit(2) from None

    return wrapper


def note(message: str) -> None:
    """A remark on stderr, where it does not mix with what a program reads from stdout."""
    _say(f"note: {message}")


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"warning: {message}")


def _say(message: str) -> None:
    """To stderr, line by line, with control characters spelled out: file names may hold terminal escapes."""
    typer.echo("\n".join(map(text.printable, message.splitlines())), err=True)


def _message(error: Exception) -> str:
    """The error's words, if they are ours; of any other also its type, which its words rely on."""
    ours = isinstance(error, (ValueError, TypeError, OSError, ImportError)) or error.__cause__
    if ours and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}\n(neurocensus --debug ... shows where)"
