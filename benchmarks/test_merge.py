"""Merging many states into one, beside a plain read of the same memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.buffers import THREADS
from benchmarks.conftest import Recorder
from benchmarks.ratios import Pairs, Ratio
from neurocensus import Audit, LayerAudit, UnitState, _core, merge, reference

UNITS = 9_217_000  # a thousand times the thesis's largest network
SHARDS = 64
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


def note(record: Recorder, pairs: Pairs, what: str, words: int, **numbers: float) -> None:
    seconds = pairs.candidate_median
    record.note(
        what=what,
        gb_per_s=8 * words / seconds / 1e9,
        plain_read_gb_per_s=8 * words / pairs.baseline_median / 1e9,
        share_of_plain_read=pairs.speedup.median,
        **numbers,
    )


def seconds(pairs: Pairs) -> Ratio:
    return Ratio(pairs.candidate_median, min(pairs.candidate), max(pairs.candidate))


@pytest.mark.benchmark(group="merging")
def test_64_shards_of_one_census(record: Recorder) -> None:
    """9,217,000 unit states, in 64 states of 144,016 units."""
    units = -(-UNITS // SHARDS)
    states, seen = shards(SHARDS, units)
    found: list[UnitState] = []

    def merged(into: UnitState) -> None:
        found[:] = [into.merge(*states, first_examples=firsts(SHARDS))]

    pairs = record.pairs(merged, plain_read(states), rounds=20, prepare=lambda: (UnitState(units),))
    assert_merged(found[0], seen)
    one_by_one, start = UnitState(units), time.perf_counter()
    for state, first in zip(states, firsts(SHARDS), strict=True):
        one_by_one.merge(state, first_examples=[first])
    apart = time.perf_counter() - start
    assert_merged(one_by_one, seen)
    words = sum(state.words.numel() for state in states)
    note(record, pairs, "64 states of 144,016 units", words, one_by_one_ms=1e3 * apart)
    record.gate("merge", seconds(pairs))
    record.gate("merge, share of a read", pairs.speedup)


@pytest.mark.benchmark(group="merging")
def test_64_audits_of_one_census(record: Recorder) -> None:
    """The same as audits: with their digests, by which a shard that comes twice is found."""
    units = -(-UNITS // SHARDS)
    states, seen = shards(SHARDS, units)
    audits = [_audit(state) for state in states]
    found: list[Audit] = []

    def merged() -> None:
        found[:] = [merge(*audits)]

    pairs = record.pairs(merged, plain_read(states), rounds=5)
    assert_merged(found[0].layers["act"].state, seen)
    assert len(set(found[0].parts)) == SHARDS
    note(record, pairs, "64 audits of 144,016 units", sum(state.words.numel() for state in states))
    record.gate("merge", seconds(pairs))


@pytest.mark.benchmark(group="merging")
def test_64_full_states(record: Recorder) -> None:
    """64 states of 9,217,000 units each, 47 GB: eight, more than any cache holds, used in turn."""
    distinct = 8
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 12 * 2**30:
        pytest.skip("needs 7 GiB of memory for states")
    states, seen = shards(distinct, UNITS)
    found: list[UnitState] = []

    def merged(into: UnitState) -> None:
        for begin in range(0, SHARDS, distinct):
            into.merge(*states, first_examples=firsts(distinct, begin))
        found[:] = [into]

    turns = SHARDS // distinct
    pairs = record.pairs(merged, plain_read(states, turns), rounds=3, prepare=lambda: (UnitState(UNITS),))
    assert_merged(found[0], seen * turns)
    words = turns * sum(state.words.numel() for state in states)
    note(record, pairs, "64 states of 9,217,000 units", words)
    record.gate("merge, full states", seconds(pairs))
    record.gate("merge, share of a read", pairs.speedup)


def _audit(state: UnitState) -> Audit:
    fields: dict[str, Any] = {"unit_axis": 1, "unit_rule": "given", "example_axis": 0, "dtype": "float32"}
    layer = LayerAudit(name="act", state=state, kind="ReLU", training=False, calls=1, **fields)
    return Audit({"act": layer}, model="Net", examples=state.examples, batches=1)
