"""The arguments of `Monitor` that nobody else checks, checked."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path
from typing import Any

from ..arguments import integer


def path_of(folder: Any) -> Path:
    """The folder, as a path. Raises TypeError."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder: expected a path, got {type(folder).__name__}")
    return Path(folder)


def intervals(every: Any, log_every: Any) -> tuple[int, int]:
    """`every_n_steps` and `log_every_n_steps`. Raises TypeError, ValueError."""
    log_every = integer("log_every_n_steps", log_every, 1)
    every = integer("every_n_steps", every, 1)
    if every > log_every:
        raise ValueError(
            f"log_every_n_steps: expected at least every_n_steps, {every}, got {log_every}; otherwise there "
            "are rows of nothing"
        )
    return every, log_every


def check_numbers(warn_over: Any, threshold: Any, threads: Any) -> None:
    """Raise TypeError or ValueError."""
    _check_real("warn_over", warn_over, "a share in [0, 1]")
    if not 0 <= warn_over <= 1:
        raise ValueError(f"warn_over: expected a share in [0, 1], got {warn_over}; 0.5 is half of the units")
    _check_real("threshold", threshold, "a finite number of at least 0")
    if not 0 <= threshold < math.inf:
        raise ValueError(f"threshold: expected a finite number of at least 0, got {threshold}")
    if threads is not None:
        integer("threads", threads, 1)


def check_outputs(mask: Any, tensorboard: Any, wandb: Any, log: Any) -> None:
    """Raise TypeError or ValueError."""
    if not (mask is None or isinstance(mask, str) or callable(mask)):
        raise TypeError(
            "mask: expected the name of an argument of the model, or a function of its arguments, "
            f"got {type(mask).__name__}"
        )
    for name, choice in (("tensorboard", tensorboard), ("wandb", wandb)):
        if not isinstance(choice, bool) and choice != "auto":
            raise ValueError(f'{name}: expected True, False or "auto", got {choice!r}')
    if not (log is None or callable(log)):
        raise TypeError(f"log: expected a function (scalars, step), got {type(log).__name__}")


def _check_real(name: str, value: Any, expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}")
