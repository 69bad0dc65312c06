"""What the frameworks' callbacks have in common."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import threading
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from torch import nn

from .._torchvision import import_torchvision
from .monitor import Monitor

OURS: Final = ("model", "folder", "first_step", "log")
"""What a callback knows itself."""

# By thread and folder.
_begun: WeakValueDictionary[tuple[int, str], Monitor] = WeakValueDictionary()


def check(options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that `Monitor` does not have: at once, not when the training begins."""
    known = [name for name in inspect.signature(Monitor).parameters if name not in OURS]
    for name in options:
        if name not in known:
            raise TypeError(
                f"{name}: expected one of the options {', '.join(known)}; there is no such option"
            )


def begin(
    before: Monitor | None, model: nn.Module, folder: str | os.PathLike[str], **options: Any
) -> Monitor:
    """A monitor for a training that begins now, at work.

    What is still at work of a training before is aborted, if its framework did not tell of the error that
    ended it: `before`, the callback's own, and the one that another callback began in this folder. Trainings
    of one thread come one after the other, so that one is over; a notebook may keep it alive.
    """
    key = threading.get_ident(), os.path.realpath(folder)
    for earlier in (before, _begun.get(key)):
        if earlier is not None:
            earlier.abort()
    monitor = Monitor(model, folder, **options).open()
    _begun[key] = monitor
    return monitor


def prepare_torchvision() -> None:
    """Import torchvision, if it is there, in the way that works; frameworks do, in one that may not."""
    if importlib.util.find_spec("torchvision") is not None:
        with contextlib.suppress(ImportError, OSError, RuntimeError):  # for the framework to report
            import_torchvision()
