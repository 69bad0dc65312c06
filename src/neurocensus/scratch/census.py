"""The census of a `Network`: NumPy's activations, counted by the same core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..array_auditor import ArrayAuditor
from ..result import Audit
from .network import Network

BATCH = 256
"""Rows at a time."""


def audit(
    network: Network, x: Any, *, model: str = "Network", threshold: float = 0.0, histogram: bool = False
) -> Audit:
    """Count every activation of a network over its inputs.

    Args:
        network: any object with ``activations(x)``, which gives an array (n, units) per layer.
        x: inputs, (N, inputs), at least one.
        model: its name in the audit.
        threshold, histogram: as for `neurocensus.audit`.

    Raises:
        TypeError: activations that are no mapping of floating-point arrays.
        ValueError: no inputs, or of another shape than the network's; a layer without a row for each input.
    """
    auditor = ArrayAuditor(
        model=model, kinds=getattr(network, "kinds", {}), threshold=threshold, histogram=histogram
    )
    for rows in chunks(x):
        found = network.activations(rows)
        auditor.update(found)  # refuses what are no arrays by layer, with as many rows each
        for name, array in found.items():
            if len(array) != len(rows):
                raise ValueError(
                    f"network: expected activations(x) to give arrays ({len(rows)}, units), a row for each "
                    f"input, got shape {tuple(array.shape)} for {name!r}"
                )
    return auditor.compute()


def chunks(x: Any) -> Iterable[Any]:
    """The rows of `x`, `BATCH` at a time."""
    if not len(x):
        raise ValueError("x: expected at least one input, got none")
    return (x[start : start + BATCH] for start in range(0, len(x), BATCH))
