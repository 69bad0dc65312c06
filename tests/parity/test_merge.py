"""merge: associative, commutative, with an identity; the split of the data leaves no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import UnitState, reference

from .budget import EXACT, assert_same
from .test_update import KINDS, exact, values_like_activations

Array = np.ndarray[Any, Any]


def counted(x: Array, first: int) -> UnitState:
    return UnitState(x.shape[1], histogram=True).update(x, first_example=first)


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


@given(parts=parts, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_any_split_in_any_order_is_the_whole(
    parts: list[tuple[int, str, float]], seed: int, data: st.DataObject
) -> None:
    with np.errstate(over="ignore"):
        arrays = [
            values_like_activations((examples, 6, 5), seed + i, kind) + np.float32(level)
            for i, (examples, kind, level) in enumerate(parts)
        ]
    starts = np.cumsum([0] + [len(array) for array in arrays])
    whole = np.concatenate(arrays)
    states = [counted(array, int(first)) for array, first in zip(arrays, starts, strict=False)]
    merged = UnitState(6, histogram=True)
    for i in data.draw(st.permutations(range(len(states)))):
        merged.merge(states[i])
    assert_same(merged, reference.census(exact(whole)))
    identical(merged, counted(whole, 0))

    left = UnitState(6, histogram=True)  # ((a b) c) and (a (b c))
    for state in states:
        left.merge(state)
    right = UnitState(6, histogram=True)
    for state in reversed(states):
        right = state.copy().merge(right)
    identical(left, right)


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_the_empty_state_is_the_identity(kind: str, seed: int) -> None:
    state = counted(values_like_activations((4, 6, 5), seed, kind), 3)
    for merged in (
        state.copy().merge(UnitState(6, histogram=True)),
        UnitState(6, histogram=True).merge(state),
    ):
        for name, value in state.to_dict().items():
            np.testing.assert_array_equal(merged.to_dict()[name], value, err_msg=name)


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
        merged, fed = UnitState(1), UnitState(1)
        for i in order:
            merged.merge(UnitState(1).update(x[i : i + 1], first_example=i))
            fed.update(x[i : i + 1], first_example=i)
        assert merged.argmax.tolist() == fed.argmax.tolist() == [1]


@pytest.mark.parametrize(
    ("other", "words"),
    [(UnitState(3), "units 2, got 3"), (UnitState(2, threshold=0.5), "threshold 0.0, got 0.5"),
     (UnitState(2, histogram=True), "has_histogram False, got True")],
)  # fmt: skip
def test_unlike_states_are_refused(other: UnitState, words: str) -> None:
    state = UnitState(2).update(np.ones((1, 2)))
    with pytest.raises(ValueError, match=words):
        state.merge(other)
    with pytest.raises(TypeError, match="expected a UnitState, got dict"):
        state.merge({})  # type: ignore[arg-type]
    assert state.values == 1
