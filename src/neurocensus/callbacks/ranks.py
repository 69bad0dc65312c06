"""What one process of a group does for all, so that they go on alike or fail alike."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch

from .alarms import ActivationWarning

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_OURS: Final = {kind.__name__: kind for kind in (ActivationWarning, OSError)}
"""Errors that all processes raise; of others they raise a RuntimeError."""


def processes(group: ProcessGroup | None) -> int:
    """How many train together."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size(group) if distributed else 1


def by_first(group: ProcessGroup | None, work: Callable[[], None]) -> None:
    """Let the first process of the group do this, while the others wait.

    Raises:
        Exception: in all processes: what the work raised in the first.
        RankError: (a RuntimeError) another process does not answer.
    """
    if processes(group) == 1:
        work()
        return
    from ..distributed.exchange import Exchange
    from ..distributed.gathering import TIMEOUT
    from ..distributed.group import open_group
    from ..distributed.meeting import Meeting

    here = open_group(group)
    failure: Exception | None = None
    if here.rank == 0:
        try:
            work()
        except Exception as error:
            failure = error
    with Meeting(here, TIMEOUT, "a row of the monitor") as meeting:
        told = Exchange(here, meeting).texts("" if failure is None else _encoded(failure))[0]
    if failure is not None:
        raise failure
    if told:
        raise _decoded(told, here.ranks[0])


def _encoded(error: Exception) -> str:
    for name, kind in _OURS.items():
        if isinstance(error, kind):
            path = getattr(error, "filename", None)
            return json.dumps([name, *error.args[:2], *([] if path is None else [os.fspath(path)])])
    return json.dumps(["", f"{type(error).__name__}: {error}"])


def _decoded(told: str, rank: int) -> Exception:
    name, *args = json.loads(told)
    return _OURS[name](*args) if name else RuntimeError(f"rank {rank} failed: {args[0]}")
