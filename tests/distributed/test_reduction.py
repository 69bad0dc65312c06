"""The joining of states, without processes: ranks are threads here, and reduce through one list."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.distributed.facts import Facts, layers_of
from neurocensus.distributed.numbering import Numbering, numberings, renumbered
from neurocensus.distributed.reduction import Columns, reduce_states
from neurocensus.result import Audit, merge
from neurocensus.state import UnitState

from ..audit_samples import layer_audit
from ..parity.budget import assert_same
from .parts import activations, assert_moments, census, split

FOLDS = {"sum": np.add, "max": np.maximum, "min": np.minimum}


class Together:
    """All-reduce over threads, in any order of ranks."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order, self._columns = order, [np.empty(0)] * len(order)
        self._barrier = Barrier(len(order), timeout=20)

    def of(self, rank: int) -> Any:
        def reduce(column: Any, how: str) -> Any:
            self._columns[rank] = column
            self._barrier.wait()
            whole = self._columns[self._order[0]].copy()
            for other in self._order[1:]:
                whole = FOLDS[how](whole, self._columns[other])
            self._barrier.wait()
            return whole

        return reduce


def joined(
    parts: Sequence[Any], order: Sequence[int], how: str = "consecutive", start: Any = None, **options: Any
) -> list[dict[str, UnitState]]:
    """What `gather` makes of audits, or of those of parts, on each rank."""
    audits = [part if isinstance(part, Audit) else census(part, **options) for part in parts]
    starts = start or [None] * len(parts)
    everyone = [Facts.of(audit, how, first) for audit, first in zip(audits, starts, strict=True)]  # type: ignore[arg-type]
    places = numberings(everyone)
    layers = layers_of([renumbered(facts, place) for facts, place in zip(everyone, places, strict=True)])
    together = Together(order)

    def of_rank(rank: int) -> dict[str, UnitState]:
        threshold = audits[rank].threshold
        return reduce_states(
            layers, audits[rank].states, places[rank], together.of(rank), threshold=threshold
        )

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(of_rank, range(len(parts))))


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e100, -1e100, float("nan"), float("inf")]),
)


@settings(max_examples=60)
@given(data=st.data(), ranks=st.integers(1, 4), interleaved=st.booleans())
def test_any_split_is_the_whole(data: st.DataObject, ranks: int, interleaved: bool) -> None:
    """By the definition, in any order of the sums; ranks without examples among them."""
    examples, units = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    array = data.draw(hnp.arrays(np.float64, (examples, units, 2), elements=NUMBERS))
    how = "interleaved" if interleaved else "consecutive"
    cuts = sorted(data.draw(st.lists(st.integers(0, examples), min_size=ranks - 1, max_size=ranks - 1)))
    parts = split(array, np.diff([0, *cuts, examples]).tolist(), how)
    order = data.draw(st.permutations(range(ranks)))
    states = joined([{"a": part} for part in parts], order, how, threshold=0.5)
    single = UnitState(units, histogram=True, threshold=0.5).update(array)
    for each in states:
        assert_same(each["a"], single)
        np.testing.assert_array_equal(each["a"]._words, states[0]["a"]._words)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_moments_lose_nothing_that_merge_keeps(order: Sequence[int]) -> None:
    array = activations(90, positions=7, seed=8)
    parts = [{"a": part} for part in split(array, (50, 3, 37))]
    single = UnitState(5, histogram=True).update(array)
    assert_moments(joined(parts, order)[0]["a"], single)
    assert_moments(merge(*map(census, parts)).layers["a"].state, single)


def test_a_constant_unit_keeps_its_mean_and_no_variance() -> None:
    """Shares of 0.1 that do not add up to 0.1 would give it one."""
    parts = [{"a": np.full((n, 1), 0.1)} for n in (1, 3, 7)]
    state = joined(parts, (0, 1, 2))[0]["a"]
    assert state.mean[0] == census(parts[0]).layers["a"].state.mean[0]
    assert state.m2[0] == sum(census(part).layers["a"].state.m2[0] for part in parts)


def test_means_at_the_end_of_float64() -> None:
    parts = [{"a": np.array([[1.7e308, -1.7e308]])} for _ in range(3)]
    state = joined(parts, (0, 1, 2))[0]["a"]
    np.testing.assert_array_equal(state.mean, [1.7e308, -1.7e308])
    apart = [{"a": np.array([[sign * 1.7e308]])} for sign in (1, -1)]
    state = joined(apart, (0, 1))[0]["a"]
    assert state.mean[0] == 0
    assert state.m2[0] == np.inf  # as the definition


def test_units_that_nobody_has_values_of() -> None:
    """NaN alone: no maximum, so no example of it, wherever the ranks' examples begin."""
    parts = [{"a": np.full((2, 1), np.nan)} for _ in range(2)]
    state = joined(parts, (0, 1), start=[5, 7])[0]["a"]
    assert state.argmax.tolist() == [-1]
    assert (state.max[0], state.min[0], state.mean[0], state.m2[0]) == (-np.inf, np.inf, 0, 0)
    assert state.nan.tolist() == [4]


def test_a_rank_without_values_adds_nothing_to_huge_ones() -> None:
    parts = [{"a": np.full((2, 1), 1e200)}, {"a": np.full((2, 1), np.nan)}]
    state = joined(parts, (0, 1))[0]["a"]
    assert (state.mean[0], state.m2[0]) == (1e200, 0)


def test_numbers_go_on_after_the_highest_one_used() -> None:
    """Examples that were numbered by hand, or masked: more numbers than examples."""
    audits = []
    for first in (10, 0):
        state = UnitState(1, histogram=True).update(np.ones((2, 1)), first_example=first)
        audits.append(Audit({"a": layer_audit("a", state)}, model="Net", examples=2, batches=1))
    state = joined(audits[::-1], (0, 1))[0]["a"]
    assert (state.argmax[0], state.next_example) == (0, 2 + 12)
    state = joined(audits, (0, 1))[0]["a"]
    assert (state.argmax[0], state.next_example) == (10, 12 + 2)


def test_large_counts_stay_exact() -> None:
    """Beyond what a float64 holds: 2^53 + 1 values on a rank."""
    many = UnitState(1).update(np.ones((1, 1)))
    data = many.to_dict()
    for field in ("examples", "values", "next_example"):
        data[field] = 2**53 + 1
    data["nonzero"], data["active_examples"] = np.array([2**53 + 1]), np.array([2**53 + 1])
    audit = census({"a": np.ones((1, 1))})
    layers = layers_of([Facts.of(audit, "consecutive", None)])
    assert not layers[0].masked
    columns = Columns(layers, {"a": UnitState.from_dict(data)})
    assert columns["nonzero"].tolist() == [2**53 + 1]
    assert columns["nonzero"].dtype == np.int64


@given(st.integers(0, 50), st.integers(1, 7))
def test_every_example_has_its_number(examples: int, ranks: int) -> None:
    dealt = [Numbering(rank, ranks) for rank in range(ranks)]
    counts = [len(range(rank, examples, ranks)) for rank in range(ranks)]
    numbers = [dealt[rank].place(i) for rank in range(ranks) for i in range(counts[rank])]
    assert sorted(numbers) == list(range(examples))
    assert max(map(Numbering.end, dealt, counts)) == examples
