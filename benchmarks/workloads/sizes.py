"""How large the workloads are: in full, or short (``pytest benchmarks --short``)."""

from __future__ import annotations

import os
from typing import Final, TypeVar

T = TypeVar("T")

VARIABLE: Final = "NEUROCENSUS_BENCH_SHORT"
"""Set to ``1`` by ``--short`` before any benchmark is imported; processes that one starts inherit it."""
THREADS: Final = 2
"""Threads of both sides of a ratio, where a benchmark does not say otherwise."""


def is_short() -> bool:
    """Is this the short form, which checks results and times nothing?"""
    return os.environ.get(VARIABLE) == "1"


def size(full: T, short: T) -> T:
    """`full`, or `short` in the short form: a shape, a number of examples, a list of cases."""
    return short if is_short() else full
