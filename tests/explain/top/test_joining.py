"""The strongest examples of parts are those of the whole."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import reference
from neurocensus.explain import LayerTop, TopExamples, TopState
from neurocensus.explain.top.joining import joined

from ...parity.test_update import KINDS, values_like_activations


def top_of(name: str, state: TopState, examples: int) -> TopExamples:
    layer = LayerTop(name, "ReLU", state.values, state.examples)
    return TopExamples({name: layer}, model="Net", examples=examples)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(0, 999),
    st.sampled_from(KINDS),
    st.randoms(),
)
def test_parts_in_any_order(sizes: list[int], k: int, seed: int, kind: str, shuffling: random.Random) -> None:
    array = values_like_activations((sum(sizes), 5, 2), seed, kind)
    array[:, 0], array[:, 1] = -1, np.nan
    parts, first = [], 0
    for size in sizes:
        state = TopState(5, k).update(array[first : first + size], first_example=first)
        parts.append(top_of("a", state, size))
        first += size
    shuffling.shuffle(parts)
    found = joined(*parts)
    wanted = TopState(5, k).update(array)
    np.testing.assert_array_equal(found.layers["a"].values, wanted.values)
    np.testing.assert_array_equal(found.layers["a"].examples, wanted.examples)
    assert found.examples == sum(sizes)
    assert reference.top(array, k)[1].tolist() == wanted.examples.tolist()


def test_layers_of_some_parts_only() -> None:
    first = top_of("a", TopState(2, 3).update(np.ones((4, 2))), 4)
    second = top_of("b", TopState(1, 3).update(np.ones((2, 1)), first_example=4), 2)
    found = joined(first, second)
    assert (list(found.layers), found.examples, found.k) == (["a", "b"], 6, 3)
    np.testing.assert_array_equal(found.layers["b"].examples, [[4, 5, -1]])
    np.testing.assert_array_equal(found.layers["a"].examples, first.layers["a"].examples)
