"""Audits of parts of one data set, and what the whole has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurocensus import reference
from neurocensus.result import Audit
from neurocensus.state import UnitState

from ..audit_samples import audit_of
from ..parity.budget import assert_same


def activations(examples: int, units: int = 5, positions: int = 3, seed: int = 0) -> Any:
    """(examples, units, positions): a dead, a constant, a tied and a shifted unit, NaN, infinities."""
    random = np.random.default_rng(seed)
    array = np.maximum(random.normal(size=(examples, units, positions)), 0)
    array[:, 0] = 0  # dead
    array[:, 1:2] = 0.1  # constant
    array[:, 2:3] = np.round(array[:, 2:3])  # its maximum in many places
    array[:, 3:4] += 1e8
    array[random.random(array.shape) < 0.01] = np.nan
    array[random.random(array.shape) < 0.01] = -np.inf
    return array


def split(array: Any, sizes: Sequence[int], order: str = "consecutive") -> list[Any]:
    """The examples of each rank; sizes count for consecutive parts only."""
    if order == "interleaved":
        return [array[rank :: len(sizes)] for rank in range(len(sizes))]
    return np.split(array, np.cumsum(sizes)[:-1])


def census(arrays: dict[str, Any], **changes: Any) -> Audit:
    """An audit of them with histogram; of layers without examples none is made."""
    return audit_of({name: a for name, a in arrays.items() if len(a)}, histogram=True, **changes)


def assert_whole(found: Audit, arrays: dict[str, Any], layers: Sequence[str] | None = None) -> None:
    """Raise unless the states are those of all examples at once, by one state and by the definition."""
    assert list(found.layers) == list(arrays if layers is None else layers)
    for name, array in arrays.items():
        state = found.layers[name].state
        single = UnitState(array.shape[1], histogram=True).update(array)
        assert_same(state, reference.census(array))
        assert_same(state, single)
        assert_moments(state, single)


def assert_moments(state: UnitState, single: UnitState) -> None:
    """To rounding: a few times what float64 loses on means of that size."""
    rounding = 4e-15 * (single.mean_abs + np.abs(single.mean))
    for field in ("mean", "mean_abs"):
        assert (np.abs(getattr(state, field) - getattr(single, field)) <= rounding).all(), field
    allowed = 1e-14 * single.m2 + np.sqrt(single.m2 * single.finite) * rounding + single.finite * rounding**2
    assert (np.abs(state.m2 - single.m2) <= allowed).all()
