"""Runs as pytest-benchmark would have stored them, without running anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Better
from benchmarks.harness.runs import Benchmark, Run, Stored
from hypothesis import strategies as st

MACHINE: Mapping[str, Any] = {
    "cpu": {"brand_raw": "Abacus 9", "family": 6, "model": 1},
    "machine": "x86_64",
    "python_version": "3.11.7",
    "python_implementation": "CPython",
    "neurocensus": {
        "memory_gib": 8.0, "cores": 2, "system": "Linux", "compiler": "GNU 12", "instruction_set": "avx2",
        "torch": "2.13.0", "threads": 2, "short": False, "packages": {"numpy": "2.4.6", "captum": None},
    },
}  # fmt: skip


def machine(**ours: Any) -> dict[str, Any]:
    """`MACHINE` with other entries of its own."""
    return {**MACHINE, "neurocensus": {**MACHINE["neurocensus"], **ours}}


def benchmark(
    name: str,
    ratios: Mapping[str, Stored] | None = None,
    *,
    group: str = "update",
    seconds: float = 0.001,
    params: Mapping[str, Any] | None = None,
    targets: Sequence[Mapping[str, Any]] = (),
    notes: Mapping[str, Any] | None = None,
) -> Benchmark:
    path = f"benchmarks/test_{group}.py::{name}"
    return Benchmark(name, path, group, params or {}, seconds, ratios or {}, targets, notes or {})


def run(benchmarks: Iterable[Benchmark], *, commit: str = "1a2b", **ours: Any) -> Run:
    return Run(machine(**ours), commit, "2026-11-21", list(benchmarks))


def run_of(*medians: float, better: Better = "higher") -> Run:
    """A run of one benchmark per number, whose ratio "share" had this in each of its rounds."""
    stored = (Stored(Ratio.of([median]), better) for median in medians)
    return run(benchmark(f"test_{index}", {"share": one}) for index, one in enumerate(stored))


factors = st.floats(-3, 3).map(math.exp)
"""Ratios from a twentieth to twenty, as far below 1 as above."""
rounds = st.lists(factors, min_size=1, max_size=9)
"""The ratio of each round of a benchmark."""
directions: st.SearchStrategy[Better] = st.sampled_from(["higher", "lower"])
