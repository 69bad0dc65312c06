"""Merging many states into one, beside a plain read of the same memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.harness.ratios import Ratio, Turns
from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.sizes import THREADS, is_short, size
from neurocensus import Audit, LayerAudit, UnitState, _core, merge, reference

UNITS = size(9_217_000, 9217)  # a thousand times the thesis's largest network
SHARDS = size(64, 8)
EXAMPLES = 3  # in each shard
LOOKED_AT = 5  # units that are compared with the definition

Floats = npt.NDArray[np.float32]


def shards(count: int, units: int) -> tuple[list[UnitState], list[Floats]]:
    """States of so many units, each with data of its own, and the values of the units looked at."""
    states, seen = [], []
    for seed in range(count):
        x = np.maximum(np.random.default_rng(seed).standard_normal((EXAMPLES, units), np.float32), 0)
        states.append(UnitState(units).update(x))
        seen.append(x[:, _looked_at(units)])
    return states, seen


def _looked_at(units: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, units - 1, LOOKED_AT).astype(np.int64)


def assert_merged(state: UnitState, seen: Sequence[Floats]) -> None:
    wanted, units = reference.census(np.concatenate(seen)), _looked_at(state.units)
    assert (state.examples, state.values) == (wanted.examples, wanted.values)
    assert state.next_example == wanted.next_example
    for name in ("nonzero", "active_examples", "nan", "inf", "max", "min", "argmax", "dead"):
        np.testing.assert_array_equal(getattr(state, name)[units], getattr(wanted, name), name)
    for name in ("mean", "m2", "mean_abs"):
        np.testing.assert_allclose(getattr(state, name)[units], getattr(wanted, name), 1e-6, err_msg=name)


def plain_read(states: Sequence[UnitState], times: int = 1) -> Callable[[], None]:
    """Every word of the states, so many times: as pairs of float32."""
    buffers = [state.words for state in states]

    def read() -> None:
        for _ in range(times):
            for words in buffers:
                _core.plain_max(words.data_ptr(), 2 * words.numel(), THREADS)

    return read


def firsts(count: int, begin: int = 0) -> list[int]:
    return [(begin + index) * EXAMPLES for index in range(count)]


def keep(record: Recorder, turns: Turns, words: int, *, seconds: str, share: str | None) -> None:
    """Store the figures and hold them against the targets named; seconds have no baseline."""
    record.ratio("share of plain read", turns.ratio("plain read", "merge"), better="higher", target=share)
    record.target(seconds, Ratio.of(turns.seconds["merge"]))
    record.note(
        gb_per_s=8 * words / turns.median("merge") / 1e9,
        plain_read_gb_per_s=8 * words / turns.median("plain read") / 1e9,
    )


@pytest.mark.gated
@pytest.mark.benchmark(group="merging")
def test_shards_of_one_census(record: Recorder) -> None:
    """9,217,000 unit states, in 64 states of 144,016 units; also one by one, each into the whole."""
    units = -(-UNITS // SHARDS)
    states, seen = shards(SHARDS, units)
    merged, apart = UnitState(units), UnitState(units)

    def merge_all(into: UnitState) -> None:
        nonlocal merged
        merged = into.merge(*states, first_examples=firsts(SHARDS))

    def one_by_one() -> None:
        nonlocal apart
        apart = UnitState(units)
        for state, first in zip(states, firsts(SHARDS), strict=True):
            apart.merge(state, first_examples=[first])

    turns = record.turns(
        {"merge": merge_all, "plain read": plain_read(states), "one by one": one_by_one},
        rounds=20,
        prepare=lambda: (UnitState(units),),
    )
    assert_merged(merged, seen)
    assert_merged(apart, seen)
    words = sum(state.words.numel() for state in states)
    keep(record, turns, words, seconds="merge", share="merge, share of a read")
    record.ratio("times faster than one by one", turns.ratio("one by one", "merge"), better="higher")


@pytest.mark.benchmark(group="merging")
def test_audits_of_one_census(record: Recorder) -> None:
    """The same as audits: with their digests, by which a shard that comes twice is found."""
    units = -(-UNITS // SHARDS)
    states, seen = shards(SHARDS, units)
    audits = [_audit(state) for state in states]
    found: list[Audit] = []

    def merged() -> None:
        found[:] = [merge(*audits)]

    turns = record.turns({"merge": merged, "plain read": plain_read(states)}, rounds=5)
    assert_merged(found[0].layers["act"].state, seen)
    assert len(set(found[0].parts)) == SHARDS
    keep(record, turns, sum(state.words.numel() for state in states), seconds="merge", share=None)


@pytest.mark.benchmark(group="merging")
def test_full_states(record: Recorder) -> None:
    """64 states of 9,217,000 units each, 47 GB: eight, more than any cache holds, used in turn."""
    distinct = size(8, 2)
    if not is_short() and os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 12 * 2**30:
        pytest.skip("needs 7 GiB of memory for states")
    states, seen = shards(distinct, UNITS)
    found: list[UnitState] = []

    def merged(into: UnitState) -> None:
        for begin in range(0, SHARDS, distinct):
            into.merge(*states, first_examples=firsts(distinct, begin))
        found[:] = [into]

    times = SHARDS // distinct
    turns = record.turns(
        {"merge": merged, "plain read": plain_read(states, times)},
        rounds=3,
        prepare=lambda: (UnitState(UNITS),),
    )
    assert_merged(found[0], seen * times)
    words = times * sum(state.words.numel() for state in states)
    keep(record, turns, words, seconds="merge, full states", share="merge, share of a read")


def _audit(state: UnitState) -> Audit:
    fields: dict[str, Any] = {"unit_axis": 1, "unit_rule": "given", "example_axis": 0, "dtype": "float32"}
    layer = LayerAudit(name="act", state=state, kind="ReLU", training=False, calls=1, **fields)
    return Audit({"act": layer}, model="Net", examples=state.examples, batches=1)
