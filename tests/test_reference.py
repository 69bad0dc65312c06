"""The definition, checked by hand-made numbers and by another library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus import reference


def test_a_census_by_hand() -> None:
    nan, inf = np.nan, np.inf
    x = np.array([  # (example 2, unit 5, position 2)
        [[0, 0], [1, -3], [nan, 1], [0, 0], [-0.0, 0]],
        [[0, 0], [0, 2], [-inf, 0], [0, 4], [0, 0]],
    ])  # fmt: skip
    c = reference.census(x, first_example=10)
    assert (c.examples, c.values, c.next_example) == (2, 4, 12)
    assert c.nonzero.tolist() == [0, 3, 1, 1, 0]
    assert c.active_examples.tolist() == [0, 2, 1, 1, 0]
    assert c.max.tolist() == [0, 2, 1, 4, 0]
    assert c.min.tolist() == [0, -3, 0, 0, 0]
    assert c.argmax.tolist() == [10, 11, 10, 11, 10]
    assert c.mean.tolist() == [0, 0, 0.5, 1, 0]
    assert c.m2.tolist() == [0, 14, 0.5, 12, 0]
    assert c.mean_abs.tolist() == [0, 1.5, 0.5, 1, 0]
    assert (c.nan.tolist(), c.inf.tolist()) == ([0, 0, 1, 0, 0], [0, 0, 1, 0, 0])
    assert c.dead.tolist() == [True, False, False, False, True]
    assert reference.census(x, threshold=3).dead.tolist() == [True, True, False, False, True]


def test_unseen_is_not_dead() -> None:
    for x in (np.zeros((0, 3, 4)), np.zeros((5, 3, 0))):
        assert not reference.census(x).dead.any()
    assert not reference.census(np.zeros((5, 3)), mask=np.zeros(5, bool)).dead.any()


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=finite))
def test_bins_hold_what_their_edges_say(values: np.ndarray) -> None:
    edges, index = reference.bin_edges(), reference.bin_index(values)
    assert len(edges) == reference.HISTOGRAM_SIZE + 1
    low, high = edges[index], edges[index + 1]
    positive, negative = values > 0, values < 0
    assert ((low <= values) & (values < high))[positive].all()
    assert ((low < values) & (values <= high))[negative].all()
    assert (index[values == 0] == reference.ZERO_BIN).all()
    np.testing.assert_array_equal(reference.bin_index(-values), reference.HISTOGRAM_SIZE - 1 - index)
    assert reference.histogram(values).sum() == len(values)


@given(st.floats(2.0**-32, 2.0**32, exclude_max=True))
def test_a_bins_middle_is_within_the_promised_error(value: float) -> None:
    edges, index = reference.bin_edges(), int(reference.bin_index(value))
    assert abs((edges[index] + edges[index + 1]) / 2 - value) <= 0.0625 * value


def test_bins_are_monotone_and_agree_between_dtypes() -> None:
    every = np.arange(0, 2**16, dtype=np.uint32) << 16  # all bfloat16 patterns, as float32
    values = every.view(np.float32)
    values = np.sort(values[np.isfinite(values)])
    assert (np.diff(reference.bin_index(values)) >= 0).all()


def test_moments_against_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((20, 4, 30)) * 3 + 7
    c = reference.census(x)
    np.testing.assert_allclose(c.mean, x.mean(axis=(0, 2)))
    np.testing.assert_allclose(c.m2 / c.finite, x.var(axis=(0, 2)))
    np.testing.assert_allclose(c.mean_abs, np.abs(x).mean(axis=(0, 2)))


@pytest.mark.parametrize("parts", [(0, 20), (1, 19), (13, 7), (20, 0)])
def test_merge_of_parts_is_the_whole(parts: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.standard_normal((parts[0], 4, 3)) + 9, rng.standard_normal((parts[1], 4, 3)) - 5])
    a = reference.census(x[: parts[0]])
    b = reference.census(x[parts[0] :], first_example=parts[0])
    for merged in (reference.merge(a, b), reference.merge(b, a)):
        whole = reference.census(x)
        for name in ("examples", "values", "next_example", "nonzero", "max", "min", "argmax", "histogram"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), err_msg=name)
        for name in ("mean", "m2", "mean_abs"):
            np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-12, err_msg=name)
