"""What the frameworks' callbacks pass on to `Monitor`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from .monitor import Monitor

OURS: Final = ("model", "folder", "first_step", "log")
"""What a callback knows itself."""


def check(options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that `Monitor` does not have: at once, not when the training begins."""
    known = [name for name in inspect.signature(Monitor).parameters if name not in OURS]
    for name in options:
        if name not in known:
            raise TypeError(
                f"{name}: expected one of the options {', '.join(known)}; there is no such option"
            )
