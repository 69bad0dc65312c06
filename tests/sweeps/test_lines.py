"""The line of best fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurocensus.sweeps.lines import Line, best_fit

NUMBERS = st.floats(-100, 100).map(lambda value: round(value, 3))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30).filter(
    lambda pairs: len({x for x, _ in pairs}) > 1
)


def columns(pairs: list[tuple[float, float]]) -> tuple[Any, Any]:
    return tuple(np.array(pairs).T)  # type: ignore[return-value]


@given(PAIRS)
def test_it_is_scipy_s(pairs: list[tuple[float, float]]) -> None:
    x, y = columns(pairs)
    line, expected = best_fit(x, y), stats.linregress(x, y)
    assert line is not None
    assert (line.slope, line.intercept) == pytest.approx(
        (expected.slope, expected.intercept), rel=1e-6, abs=1e-6
    )
    if len(set(y)) > 1:
        assert line.r == pytest.approx(expected.rvalue, abs=1e-6)
    else:
        assert math.isnan(line.r)
    assert line.n == len(pairs)


@given(PAIRS, NUMBERS, NUMBERS)
def test_no_line_is_closer(pairs: list[tuple[float, float]], slope: float, intercept: float) -> None:
    x, y = columns(pairs)
    line = best_fit(x, y)
    assert line is not None
    other = Line(slope, intercept, 0, 0)
    assert ((y - line.at(x)) ** 2).sum() <= ((y - other.at(x)) ** 2).sum() * (1 + 1e-9) + 1e-9


@given(PAIRS, st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), max_size=5), st.booleans())
def test_what_is_not_finite_is_left_out(
    pairs: list[tuple[float, float]], bad: list[float], in_x: bool
) -> None:
    extra = [(value, 1.0) if in_x else (1.0, value) for value in bad]
    assert repr(best_fit(*columns(extra + pairs))) == repr(best_fit(*columns(pairs)))


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_logarithm_has_a_slope_per_decade(slope: float, intercept: float) -> None:
    x = np.logspace(-4, 0, 9)
    line = best_fit(x, intercept + slope * np.log10(x), log=True)
    assert line is not None
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), abs=1e-9)
    np.testing.assert_allclose(line.at([0.01, 1]), [intercept - 2 * slope, intercept], atol=1e-9)


@pytest.mark.parametrize("x", [[], [1], [2, 2, 2], [1, math.nan]])
def test_fewer_than_two_different_values_have_no_line(x: list[float]) -> None:
    assert best_fit(x, list(range(len(x)))) is None


@given(st.floats(0.01, 1), st.integers(2, 60))
def test_a_constant_has_a_level_line_and_no_r(value: float, count: int) -> None:
    line = best_fit(range(count), [value] * count)
    assert line is not None
    assert (line.slope, line.intercept) == (0, value)
    assert math.isnan(line.r)
    assert best_fit([value] * count, range(count)) is None


def test_a_logarithm_needs_what_is_above_0() -> None:
    with pytest.raises(ValueError, match="x: expected numbers above 0 for log=True, got 0; use log=False"):
        best_fit([0, 1, 2], [1, 2, 3], log=True)
    assert best_fit([0, 1, 10], [math.nan, 2, 3], log=True) is not None  # that pair is left out anyway


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1]), ([[1, 2]], [[1, 2]])])
def test_shapes_that_do_not_fit(x: Any, y: Any) -> None:
    with pytest.raises(ValueError, match="x, y: expected one number each per pair, got shapes"):
        best_fit(x, y)


def test_differences_too_small_to_square() -> None:
    assert best_fit([0, 1e-300], [1, 2]) is None
    line = best_fit([1, 2], [0, 1e-300])
    assert line is not None
    assert math.isnan(line.r)
