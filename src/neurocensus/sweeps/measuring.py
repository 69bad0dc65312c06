"""The ten metrics and the census of a trained network, as a record."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..assessment.confusion import METRICS, Confusion
from ..scratch import Network, audit
from .problem import Part, Problem


def measure(network: Network | None, problem: Problem) -> dict[str, Any]:
    """``train_accuracy`` and so on: the ten metrics, nnu and dead units of a network on either part.

    Args:
        network: None for one whose training diverged: all is NaN, and the counts are None.
    """
    out: dict[str, Any] = {}
    for name, part in zip(("train", "test"), problem, strict=True):
        known = dict.fromkeys((*METRICS, "nnu"), math.nan) if network is None else _measured(network, part)
        out |= {f"{name}_{key}": value for key, value in known.items()}
        out.setdefault(f"{name}_dead", None)
    return out


def _measured(network: Network, part: Part) -> dict[str, Any]:
    predicted, actual = network.predict(part.x) > 0.5, part.y == 1
    census = audit(network, part.x)
    metrics = _metrics(
        int((predicted & actual).sum()),
        int((predicted & ~actual).sum()),
        int((~predicted & ~actual).sum()),
        int((~predicted & actual).sum()),
    )
    return {**metrics, "nnu": census.nnu, "dead": census.dead}


@functools.lru_cache(maxsize=4096)
def _metrics(tp: int, fp: int, tn: int, fn: int) -> dict[str, float]:
    """Of four counts. Few of them are possible on a small set, and many networks of a sweep answer alike."""
    return Confusion.from_counts(tp=tp, fp=fp, tn=tn, fn=fn).metrics()
