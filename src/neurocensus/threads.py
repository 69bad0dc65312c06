"""How many threads the core and torch may use."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def thread_count(threads: int | None = None) -> int:
    """``threads`` itself, else torch's setting where torch is loaded, else the CPUs of this process.

    Raises:
        ValueError: less than 1.
    """
    if threads is not None:
        if operator.index(threads) < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        return operator.index(threads)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Torch with so many threads; None changes nothing.

    One is best for tensors so small that more would only wait for one another.
    """
    import torch

    had = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(had)
