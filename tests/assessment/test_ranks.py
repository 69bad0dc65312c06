from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurocensus.assessment import ranks
from neurocensus.assessment.ranks import Correlation, Method, correlate

METHODS: tuple[Method, ...] = ("spearman", "kendall")
Floats = npt.NDArray[np.float64]


def few(x: Any, y: Any, method: Method = "spearman", confidence: float = 0.95) -> Correlation:
    return correlate(np.asarray(x, float), np.asarray(y, float), method, confidence=confidence, seed=0)


@st.composite
def pairs(draw: st.DrawFn, most: int = 6, values: int = 5) -> tuple[list[int], list[int]]:
    n = draw(st.integers(4, most))
    x, y = (draw(st.lists(st.integers(0, values), min_size=n, max_size=n)) for _ in "xy")
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    return x, y


class TestP:
    @settings(max_examples=12)
    @given(pairs(), st.sampled_from(METHODS))
    def test_is_that_of_scipys_permutation_test(self, xy: Any, method: Method) -> None:
        x, y = np.array(xy)
        test = scipy.stats.spearmanr if method == "spearman" else scipy.stats.kendalltau
        expected = scipy.stats.permutation_test(
            (x,),
            lambda shuffled: test(shuffled, y).statistic,
            permutation_type="pairings",
            n_resamples=np.inf,
        )
        assert few(x, y, method).p == pytest.approx(expected.pvalue)

    def test_of_five_models_in_perfect_order(self) -> None:
        """Table 4.4: NNU falls as accuracy rises, in one order of 120; so does the reverse."""
        assert few([1, 2, 3, 4, 5], [9, 7, 6, 5, 1]).p == pytest.approx(2 / 120)

    @pytest.mark.parametrize("method", METHODS)
    def test_of_more_pairs_is_sampled(self, method: Method) -> None:
        random = np.random.default_rng(5)
        x = random.normal(size=12)
        y = x + 1.5 * random.normal(size=12)
        exact = scipy.stats.kendalltau(x, y, method="exact").pvalue
        found = few(x, y, method).p
        assert found == pytest.approx(
            exact if method == "kendall" else scipy.stats.spearmanr(x, y).pvalue, rel=0.1
        )
        assert few(np.arange(15), np.arange(15), method).p == pytest.approx(2 / (ranks.PERMUTATIONS + 1))


class TestInterval:
    @settings(max_examples=12)
    @given(pairs(most=8, values=4), st.sampled_from(METHODS))
    def test_holds_the_coefficient_and_mirrors(self, xy: Any, method: Method) -> None:
        x, y = np.array(xy)
        found, mirrored = few(x, y, method), few(x, -y, method)
        assert -1 <= found.low <= found.coefficient <= found.high <= 1
        assert mirrored[:3] == pytest.approx((-found.coefficient, -found.high, -found.low), abs=1e-9)
        wider = few(x, y, method, confidence=0.99)
        assert wider.low <= found.low < found.high <= wider.high

    @given(st.permutations(range(6)))
    def test_depends_on_ranks_only(self, order: list[int]) -> None:
        assert few(range(6), np.exp(order)) == few(np.arange(6) * 1e-3 + 7, order)

    @pytest.mark.parametrize("method", METHODS)
    def test_leaves_out_0_where_the_test_rejects(self, method: Method) -> None:
        disagreements = 0
        orders = list(itertools.permutations(range(5))) + list(itertools.permutations(range(6)))[::7]
        for order in orders:
            found = few(range(len(order)), order, method)
            leaves_out = found.low > 0 or found.high < 0
            disagreements += leaves_out != (found.p < 0.05) and abs(found.p - 0.05) > 0.01
        assert disagreements == 0

    def test_of_a_perfect_order_has_a_width(self) -> None:
        widths = [few(range(n), range(n)) for n in range(4, 11)]
        assert [found.high for found in widths] == [1] * 7
        lows = [found.low for found in widths]
        assert lows == sorted(lows)  # more models say more
        assert lows[0] < 0 < lows[1]  # four models cannot leave out 0, five can
        assert lows[-1] < 0.97

    @pytest.mark.parametrize(("n", "theta"), [(4, 0.0), (5, 0.9), (8, 0.99), (8, -0.5), (10, 0.7)])
    @pytest.mark.parametrize("method", METHODS)
    def test_covers_what_it_says(self, n: int, theta: float, method: Method) -> None:
        """Of 300 intervals at 90 %, at least 270 less three standard errors hold the population's value.

        Fisher's z would have 3 of 10 for the third case.
        """
        random = np.random.default_rng(n)
        x = random.normal(size=(300, n))
        y = theta * x + math.sqrt(1 - theta**2) * random.normal(size=(300, n))
        truth = {"spearman": 6 / math.pi * math.asin(theta / 2), "kendall": 2 / math.pi * math.asin(theta)}
        found = [few(*sample, method, confidence=0.9) for sample in zip(x, y, strict=True)]
        held = sum(each.low <= truth[method] <= each.high for each in found)
        assert held >= 270 - 3 * math.sqrt(300 * 0.9 * 0.1)

    @pytest.mark.parametrize("method", METHODS)
    def test_bounds_are_coefficients_of_populations(self, method: Method) -> None:
        random = np.random.default_rng(0)
        x = random.normal(size=200_000)
        for theta in (-0.99, 0.3, 0.8):
            y = theta * x + math.sqrt(1 - theta**2) * random.normal(size=len(x))
            test = scipy.stats.spearmanr if method == "spearman" else scipy.stats.kendalltau
            assert ranks._population(theta, method) == pytest.approx(test(x, y).statistic, abs=0.005)

    def test_of_ties_is_wider_where_they_say_less(self) -> None:
        """Two groups of three in order: the ties leave open what the six in order would not."""
        assert few([1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]).low < few(range(6), range(6)).low


class TestMany:
    def test_fishers_z_takes_over_without_a_jump(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(3)
        x = random.normal(size=ranks.SMALL)
        y = x + random.normal(size=ranks.SMALL)
        for method in METHODS:
            monkeypatch.undo()
            simulated = few(x, y, method)
            monkeypatch.setattr(ranks, "SMALL", 3)
            assert few(x, y, method) == pytest.approx(simulated, abs=0.06)

    @pytest.mark.parametrize("method", METHODS)
    def test_covers_what_it_says(self, method: Method) -> None:
        random = np.random.default_rng(1)
        x = random.normal(size=(300, 40))
        y = 0.6 * x + 0.8 * random.normal(size=(300, 40))
        truth = {"spearman": 6 / math.pi * math.asin(0.3), "kendall": 2 / math.pi * math.asin(0.6)}[method]
        found = [few(*sample, method, confidence=0.9) for sample in zip(x, y, strict=True)]
        assert 254 <= sum(each.low <= truth <= each.high for each in found) <= 290

    @pytest.mark.parametrize("method", METHODS)
    def test_of_a_perfect_order_has_a_width(self, method: Method) -> None:
        found = few(range(50), range(50), method)
        assert 0.9 < found.low < found.coefficient == found.high == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_numbers(method: Method) -> None:
    x, y = np.arange(12.0), np.array([3, 1, 2, 5, 4, 6, 8, 7, 12, 9, 10, 11.0])
    state = np.random.get_state()[1]  # noqa: NPY002
    first = few(x, y, method)
    for cache in (ranks._permuted, ranks._simulated, ranks._simulated_orders):
        cache.cache_clear()
    assert few(x, y, method) == first
    other = correlate(x, y, method, confidence=0.95, seed=1)
    assert other != first
    assert other == pytest.approx(first, abs=0.02)  # simulation error
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
