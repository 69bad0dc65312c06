"""Every choice of layers to freeze, at a baseline."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

from .grid import Progress, train_and_measure
from .plan import Baseline
from .problem import Problem

MOST_LAYERS = 10
"""1024 networks."""


def freeze_every_way(
    baseline: Baseline,
    problem: Problem,
    *,
    folder: str | os.PathLike[str] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    on_start: Callable[[], Progress | None] | None = None,
) -> list[dict[str, Any]]:
    """Train the baseline once for every subset of its layers, which stay as they began: 2 ** layers networks.

    Args:
        baseline: its `frozen` is not used.
        folder, dtype, device, on_start: see `neurocensus.sweeps.run`.

    Returns:
        A record of each, see `SweepTable`, without "sweep" and "value", with "frozen", the names of the
        frozen layers, and "layers", those of all.

    Raises:
        ValueError: more than `MOST_LAYERS` layers.
    """
    layers = baseline.build().layer_names
    if len(layers) > MOST_LAYERS:
        raise ValueError(
            f"baseline: expected at most {MOST_LAYERS} layers, got {len(layers)}, of which there are "
            f"{2 ** len(layers):,} subsets"
        )
    subsets = [subset for size in range(len(layers) + 1) for subset in combinations(layers, size)]
    return train_and_measure(
        f"{baseline.name}-freezing",
        [replace(baseline, frozen=frozenset(subset)) for subset in subsets],
        [{"frozen": list(subset), "layers": list(layers)} for subset in subsets],
        problem,
        folder=folder,
        dtype=dtype,
        device=device,
        on_start=on_start,
    )
