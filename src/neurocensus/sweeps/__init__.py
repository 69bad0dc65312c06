"""Sweeps over learning rates and widths of networks from scratch, each trained as one batched computation.

`published_sweeps` says what to train, `run` does, `SweepTable` holds what came out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .lines import Line, best_fit
    from .permutations import freeze_every_way
    from .plan import Baseline, Sweep, learning_rate_sweep, published_sweeps, width_sweep
    from .problem import Part, Problem
    from .running import run
    from .table import SweepTable
    from .together import Trained, train_together

_HOME = {
    "Baseline": "plan",
    "Line": "lines",
    "Part": "problem",
    "Problem": "problem",
    "Sweep": "plan",
    "SweepTable": "table",
    "Trained": "together",
    "best_fit": "lines",
    "freeze_every_way": "permutations",
    "learning_rate_sweep": "plan",
    "published_sweeps": "plan",
    "run": "running",
    "train_together": "together",
    "width_sweep": "plan",
}

__all__ = [
    "Baseline",
    "Line",
    "Part",
    "Problem",
    "Sweep",
    "SweepTable",
    "Trained",
    "best_fit",
    "freeze_every_way",
    "learning_rate_sweep",
    "published_sweeps",
    "run",
    "train_together",
    "width_sweep",
]

__getattr__, __dir__ = attach(__name__, _HOME)
