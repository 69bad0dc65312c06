"""merge: associative, commutative, with an identity; the split of the data leaves no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import UnitState, _core, reference

from ..backends import Backend
from .budget import EXACT, assert_same
from .test_update import KINDS, exact, values_like_activations

Array = np.ndarray[Any, Any]
current: Backend  # a module variable, since hypothesis runs a test many times for one fixture


@pytest.fixture(autouse=True, scope="module")
def _every_backend(backend: Backend) -> None:
    global current
    current = backend


def empty(units: int) -> UnitState:
    return current.state(units, histogram=True)


def counted(x: Array, first: int) -> UnitState:
    return empty(x.shape[1]).update(current.put(x), first_example=first)


def identical(a: UnitState, b: UnitState) -> None:
    """Bit for bit, but for the moments."""
    for name in EXACT:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_array_equal(a.histogram, b.histogram)


# Unlike parts (pitfall 17): of other sizes, kinds and levels, empty ones among them.
parts = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(KINDS), st.sampled_from([0.0, 1.0, -300.0])),
    min_size=1,
    max_size=5,
)


def arrays_of(parts: list[tuple[int, str, float]], seed: int, units: int) -> tuple[list[Array], list[int]]:
    """Each part's values, and the index in the whole of its first example."""
    with np.errstate(over="ignore"):
        arrays = [
            values_like_activations((examples, units, 5), seed + i, kind) + np.float32(level)
            for i, (examples, kind, level) in enumerate(parts)
        ]
    return arrays, np.cumsum([0] + [len(array) for array in arrays])[:-1].tolist()


@given(parts=parts, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_any_split_in_any_order_is_the_whole(
    parts: list[tuple[int, str, float]], seed: int, data: st.DataObject
) -> None:
    arrays, starts = arrays_of(parts, seed, 6)
    whole = np.concatenate(arrays)
    states = [counted(array, first) for array, first in zip(arrays, starts, strict=True)]
    merged = empty(6)
    for i in data.draw(st.permutations(range(len(states)))):
        merged.merge(states[i])
    assert_same(merged, reference.census(exact(whole)))
    identical(merged, counted(whole, 0))

    left = empty(6)  # ((a b) c) and (a (b c))
    for state in states:
        left.merge(state)
    right = empty(6)
    for state in reversed(states):
        right = state.copy().merge(right)
    identical(left, right)


# Units around the width of the vectors: 37 are some whole ones, and a rest.
@given(parts=parts, seed=st.integers(0, 2**32 - 1), units=st.sampled_from([1, 8, 37]), data=st.data())
def test_many_at_once_in_any_order_are_the_whole(
    parts: list[tuple[int, str, float]], seed: int, units: int, data: st.DataObject
) -> None:
    """Each counted from example 0 on, as by a process that knows nothing of the others."""
    arrays, starts = arrays_of(parts, seed, units)
    shards = [counted(array, 0) for array in arrays]
    before = [shard.to_dict() for shard in shards]
    order = data.draw(st.permutations(range(len(shards))))
    merged = empty(units).merge(*(shards[i] for i in order), first_examples=[starts[i] for i in order])
    assert_same(merged, reference.census(exact(np.concatenate(arrays))))
    for shard, kept in zip(shards, before, strict=True):  # they are only read
        for name, value in shard.to_dict().items():
            np.testing.assert_array_equal(value, kept[name], err_msg=name)


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_the_empty_state_is_the_identity(kind: str, seed: int) -> None:
    state = counted(values_like_activations((4, 6, 5), seed, kind), 3)
    for merged in (
        state.copy().merge(),
        state.copy().merge(empty(6), empty(6), first_examples=[0, 1000]),
        empty(6).merge(empty(6), state, empty(6)),
    ):
        for name, value in state.to_dict().items():
            np.testing.assert_array_equal(merged.to_dict()[name], value, err_msg=name)


def test_merging_a_state_into_itself_doubles_it() -> None:
    x = values_like_activations((4, 20, 5), 0, "holes")
    state = counted(x, 0)
    state.merge(state, first_examples=[4])
    assert_same(state, reference.census(exact(np.concatenate([x, x]))))


def test_shifted_parts_have_the_variance_of_the_whole() -> None:
    """Pitfall 17: a sign error in the merge shows only when the parts' means differ."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((40, 3)) - 50, rng.standard_normal((7, 3)) + 90
    state = counted(a, 0).merge(counted(b, 40))
    whole = np.concatenate([a, b])
    np.testing.assert_allclose(state.m2 / state.finite, whole.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(state.mean, whole.mean(axis=0), rtol=1e-12)


def test_ties_go_to_the_lowest_example_whatever_the_order() -> None:
    x = np.array([[1.0], [3.0], [3.0], [3.0], [0.0]])
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 3, 1, 0, 4]):
        merged, fed = current.state(1), current.state(1)
        for i in order:
            merged.merge(current.state(1).update(current.put(x[i : i + 1]), first_example=i))
            fed.update(current.put(x[i : i + 1]), first_example=i)
        assert merged.argmax.tolist() == fed.argmax.tolist() == [1]


def test_threads_leave_no_trace() -> None:
    """More units than one thread takes at a time: the bits are the same for any number of threads."""
    units = 20_000
    shards = [UnitState(units).update(values_like_activations((3, units), i, "holes")) for i in range(4)]
    found = []
    for threads in (1, 2, 5):
        words = UnitState(units)._words.copy()
        _core.merge(words, [shard._words for shard in shards], [0, 3, 6, 9], units, False, threads)
        found.append(words.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("other", "words"),
    [(UnitState(3), r"others\[1\]: expected units 2, got 3"),
     (UnitState(2, threshold=0.5), r"others\[1\]: expected threshold 0.0, got 0.5"),
     (UnitState(2, histogram=True), r"others\[1\]: expected has_histogram False, got True")],
)  # fmt: skip
def test_unlike_states_are_refused(other: UnitState, words: str) -> None:
    state, like = (UnitState(2).update(np.ones((1, 2))) for _ in range(2))
    with pytest.raises(ValueError, match=words):
        state.merge(like, other)
    with pytest.raises(TypeError, match=r"others\[0\]: expected a UnitState, got dict"):
        state.merge({}, like)  # type: ignore[arg-type]
    assert state.values == 1


@pytest.mark.parametrize(
    ("firsts", "error", "words"),
    [([1], ValueError, "first_examples: expected one for each of the 2 states, got 1"),
     ([0, -1], ValueError, r"first_examples\[1\]: expected at least 0 and less than 2\*\*62, got -1"),
     ([2**62, 0], ValueError, r"first_examples\[0\]: expected at least 0"),
     ([0, 0.5], TypeError, "float")],
)  # fmt: skip
def test_impossible_indices_are_refused(firsts: Any, error: type[Exception], words: str) -> None:
    state, a, b = (UnitState(2).update(np.ones((1, 2))) for _ in range(3))
    with pytest.raises(error, match=words):
        state.merge(a, b, first_examples=firsts)
    assert state.values == 1
