from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus import metrics
from neurocensus.state import UnitState

# Small integers, so that zeros, ties and dead units are frequent.
ACTIVATIONS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6),
    elements=st.integers(-2, 3).map(float) | st.sampled_from([0.0, -0.0, math.nan, math.inf]),
)


def state_of(array: object, threshold: float = 0.0) -> UnitState:
    array = np.asarray(array, np.float64)
    return UnitState(array.shape[1], threshold=threshold).update(array)


def changed(state: UnitState, **fields: object) -> UnitState:
    return UnitState.from_dict({**state.to_dict(), **fields})


class TestPerUnit:
    @given(ACTIVATIONS, st.sampled_from([0.0, 1.0]))
    def test_fractions_are_those_of_the_raw_values(self, array: np.ndarray, threshold: float) -> None:
        state = state_of(array, threshold)
        by_unit = np.moveaxis(array.reshape(len(array), array.shape[1], -1), 1, 0)
        for unit, values in enumerate(by_unit):
            active = np.isfinite(values) & (np.abs(values) > threshold)
            finite = values[np.isfinite(values)]
            assert metrics.silent_fraction(state)[unit] == pytest.approx(1 - active.any(axis=1).mean())
            expected = (np.abs(finite) <= threshold).mean() if len(finite) else math.nan
            assert metrics.zero_fraction(state)[unit] == pytest.approx(expected, nan_ok=True)
            expected = finite.var() if len(finite) else math.nan
            assert metrics.variance(state)[unit] == pytest.approx(expected, nan_ok=True)

    @given(ACTIVATIONS, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
    def test_near_dead_holds_the_dead_and_shrinks_with_the_share(
        self, array: np.ndarray, a: float, b: float
    ) -> None:
        state = state_of(array)
        low, high = sorted((a, b))
        assert (metrics.near_dead(state, high) <= metrics.near_dead(state, low)).all()
        assert (state.dead <= metrics.near_dead(state, high)).all()

    def test_near_dead_means_more_than_the_share(self) -> None:
        array = np.zeros((100, 3))
        array[:2, 0], array[:1, 1] = 1, 1
        assert metrics.near_dead(state_of(array), 0.98).tolist() == [False, True, True]

    @given(ACTIVATIONS, st.floats(0, 2))
    def test_dormant_is_the_published_score(self, array: np.ndarray, tau: float) -> None:
        state = state_of(array)
        by_unit = np.moveaxis(array.reshape(len(array), array.shape[1], -1), 1, 0)
        clean = np.array([np.isfinite(values).all() for values in by_unit])
        known = np.array([np.isfinite(values).any() for values in by_unit])
        assume(known.any())
        scores = np.array([np.abs(values[np.isfinite(values)]).mean() if ok else 0 for values, ok in
                           zip(by_unit, known, strict=True)])  # fmt: skip
        average = scores[known].mean()
        assume(not np.isclose(scores, tau * average, rtol=1e-9, atol=0).any() or average == 0)
        expected = clean & (scores <= tau * average)
        np.testing.assert_array_equal(metrics.dormant(state, tau), expected)

    @given(ACTIVATIONS)
    def test_every_dead_unit_is_dormant_for_any_tau(self, array: np.ndarray) -> None:
        state = state_of(array)
        assert (state.dead <= metrics.dormant(state, 0)).all()

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e308])
    def test_dormant_does_not_overflow(self, scale: float) -> None:
        state = state_of(np.array([[1.0, 1.0, 1.0, 0.001]]) * scale)
        assert metrics.dormant(state).tolist() == [False, False, False, True]

    def test_a_unit_with_nonfinite_values_is_none_of_dead_near_dead_dormant(self) -> None:
        """pitfall 18: and its maximum is over finite values."""
        state = state_of([[0.0, np.nan, np.inf, 1.0], [0.0, 0.0, -np.inf, 1.0]])
        assert state.dead.tolist() == [True, False, False, False]
        assert metrics.near_dead(state).tolist() == [True, False, False, False]
        assert metrics.dormant(state).tolist() == [True, False, False, False]
        assert metrics.nonfinite(state).tolist() == [False, True, True, False]

    def test_infinite_moments_pass_through(self) -> None:
        state = changed(state_of([[1.0, 0.0]]), m2=np.array([np.inf, 0.0]))
        assert metrics.variance(state).tolist() == [math.inf, 0.0]

    def test_unseen_is_not_dead(self) -> None:
        state = UnitState(3)
        assert metrics.unseen(state).all()
        for mask in (state.dead, metrics.near_dead(state), metrics.dormant(state)):
            assert not mask.any()
        for shares in (metrics.silent_fraction(state), metrics.zero_fraction(state), metrics.variance(state)):
            assert np.isnan(shares).all()
        assert np.isnan(metrics.firing_rate_bound(state)).all()
        assert metrics.nnu([state]) == 0
        assert math.isnan(metrics.nnu_published([state]))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda s: metrics.near_dead(s, 1.0), r"share: expected a number in \[0, 1\), got 1.0"),
            (lambda s: metrics.near_dead(s, -0.1), "share"),
            (lambda s: metrics.dormant(s, -1), "tau: expected a finite number of at least 0, got -1"),
            (lambda s: metrics.dormant(s, math.nan), "tau"),
            (
                lambda s: metrics.firing_rate_bound(s, 1.0),
                r"confidence: expected a number in \(0, 1\), got 1.0",
            ),
        ],
    )
    def test_bad_settings_are_named(self, call: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call(UnitState(1))


class TestFiringRateBound:
    @given(st.integers(1, 10**9), st.floats(0.01, 0.999))
    def test_a_unit_at_the_bound_stays_silent_with_the_remaining_probability(
        self, n: int, confidence: float
    ) -> None:
        bound = metrics.zero_event_bound(n, confidence)
        assert 0 < bound < 1
        assert n * math.log1p(-bound) == pytest.approx(math.log1p(-confidence))

    @given(st.integers(1, 200), st.floats(0.5, 0.999))
    def test_equals_the_clopper_pearson_bound(self, n: int, confidence: float) -> None:
        exact = scipy.stats.binomtest(0, n, alternative="less").proportion_ci(confidence).high
        assert metrics.zero_event_bound(n, confidence) == pytest.approx(exact)

    @given(st.integers(30, 10**9))
    def test_is_about_three_over_n(self, n: int) -> None:
        assert metrics.zero_event_bound(n) == pytest.approx(3 / n, rel=0.06)

    def test_is_given_for_dead_units_alone(self) -> None:
        bound = metrics.firing_rate_bound(state_of(np.array([[0.0, 1.0]] * 10)))
        assert bound[0] == pytest.approx(1 - 0.05 ** (1 / 10))
        assert math.isnan(bound[1])


class TestNnu:
    def test_both_countings_of_the_thesis(self) -> None:
        """Table 4.4, model 1: 366 deactivated neurons of 1697, over 1000 examples, are 0.02157 %."""
        state = changed(
            UnitState(1697), examples=1000, values=1000, next_example=1000,
            nonzero=np.r_[np.zeros(366, np.int64), np.ones(1331, np.int64)],
        )  # fmt: skip
        assert metrics.nnu([state]) == 366 / 1697
        assert round(100 * metrics.nnu_published([state]), 5) == 0.02157

    @given(st.lists(ACTIVATIONS, min_size=1, max_size=4))
    def test_is_the_share_of_units_that_are_all_zero(self, arrays: list[np.ndarray]) -> None:
        dead = sum(
            (array.reshape(len(array), array.shape[1], -1) == 0).all(axis=(0, 2)).sum() for array in arrays
        )
        states = [state_of(array) for array in arrays]
        assert metrics.nnu(states) == dead / sum(array.shape[1] for array in arrays)
        cells = sum(array.shape[0] * array.shape[1] for array in arrays)
        assert metrics.nnu_published(states) == dead / cells

    def test_of_nothing_is_nan(self) -> None:
        assert math.isnan(metrics.nnu([]))
        assert math.isnan(metrics.nnu_published([]))


class TestSkewness:
    @given(hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(-1e6, 1e6, width=32)))
    def test_is_scipys(self, sample: np.ndarray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # scipy warns of nearly equal numbers
            expected = float(scipy.stats.skew(sample))
        assume(np.ptp(sample) == 0 or sample.std() > 1e-6 * np.abs(sample).max())  # scipy's own rounding
        assert metrics.skewness(sample) == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)

    @given(
        hnp.arrays(np.float64, st.integers(2, 30), elements=st.integers(-100, 100).map(float)),
        st.sampled_from([1e-300, 1e-12, 1.0, 1e12, 1e305]),
    )
    def test_does_not_depend_on_the_scale(self, sample: np.ndarray, scale: float) -> None:
        assert metrics.skewness(sample * scale) == pytest.approx(
            metrics.skewness(sample), rel=1e-6, abs=1e-9, nan_ok=True
        )

    @pytest.mark.parametrize(
        "sample", [[], [1.0], [2.0, 2.0], [0.1] * 9, [0.0, 0.0], [1.0, math.inf], [1.0, math.nan]]
    )
    def test_is_nan_where_undefined(self, sample: list[float]) -> None:
        assert math.isnan(metrics.skewness(sample))

    def test_of_a_long_right_tail_is_positive(self) -> None:
        assert metrics.skewness([1, 1, 1, 1, 9]) > 1


class TestSpectrum:
    @given(st.lists(ACTIVATIONS, max_size=4), st.integers(1, 20))
    def test_counts_every_unit_once(self, arrays: list[np.ndarray], bins: int) -> None:
        states = {str(index): state_of(array) for index, array in enumerate(arrays)}
        spectrum = metrics.spectrum(states, bins)
        assert spectrum.edges.shape == (bins + 1,)
        assert (np.diff(spectrum.edges) > 0).all()
        assert spectrum.edges[0] <= 0 <= spectrum.edges[-1]
        for name, state in states.items():
            assert spectrum.counts[name].dtype == np.int64
            assert spectrum.dead[name] == state.dead.sum()
            assert spectrum.left_out[name] == (state.finite == 0).sum()
            assert spectrum.counts[name].sum() == state.units - spectrum.dead[name] - spectrum.left_out[name]
        assert spectrum.units == sum(state.units for state in states.values())

    def test_bins_are_those_of_the_maxima(self) -> None:
        state = state_of([[0.0, 1.0, 2.0, 4.0, 4.0, -4.0]])
        spectrum = metrics.spectrum({"a": state}, 4)
        assert spectrum.edges.tolist() == [-4, -2, 0, 2, 4]
        assert spectrum.counts["a"].tolist() == [1, 0, 1, 3]
        assert spectrum.dead == {"a": 1}

    def test_skewness_with_and_without_the_dead(self) -> None:
        a, b = state_of([[0.0, 0.0, 1.0, 2.0]]), state_of([[0.0, 9.0]])
        spectrum = metrics.spectrum({"a": a, "b": b})
        assert spectrum.skewness == pytest.approx(scipy.stats.skew([0, 0, 1, 2, 0, 9]))
        assert spectrum.skewness_living == pytest.approx(scipy.stats.skew([1, 2, 9]))
        assert spectrum.layer_skewness["a"] == pytest.approx(scipy.stats.skew([0, 0, 1, 2]))
        assert spectrum.layer_skewness["b"] == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize("extreme", [1.7e308, 5e-300])
    def test_edges_survive_extreme_maxima(self, extreme: float) -> None:
        spectrum = metrics.spectrum({"a": state_of([[extreme, -extreme, extreme / 2]])}, 10)
        assert spectrum.edges[[0, -1]].tolist() == [-extreme, extreme]
        assert np.isfinite(spectrum.edges).all()
        assert spectrum.counts["a"].sum() == 3

    def test_own_edges_must_ascend_and_cover(self) -> None:
        states = {"a": state_of([[1.0, 5.0]])}
        assert metrics.spectrum(states, [0, 2, 5]).counts["a"].tolist() == [1, 1]
        with pytest.raises(ValueError, match="cover every maximum, 1 to 5, got 0 to 4; widen"):
            metrics.spectrum(states, [0, 4])
        with pytest.raises(ValueError, match="ascending"):
            metrics.spectrum(states, [5, 0])

    @pytest.mark.parametrize(
        ("bins", "error"),
        [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError), ("auto", TypeError)],
    )
    def test_bad_bins_are_named(self, bins: object, error: type[Exception]) -> None:
        with pytest.raises(error, match="bins: expected"):
            metrics.spectrum({}, bins)


class TestRange:
    @given(st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e3), min_size=1, max_size=6))
    def test_consistency_is_the_coefficient_of_variation(self, peaks: dict[str, float]) -> None:
        found = metrics.activation_range({name: state_of([[0.0, peak]]) for name, peak in peaks.items()})
        assert dict(found.maxima) == peaks
        assert list(found.maxima) == list(peaks)
        values = np.array(list(peaks.values()))
        assert found.consistency == pytest.approx(values.std() / values.mean(), abs=1e-12)

    def test_layers_without_a_finite_value_are_named(self) -> None:
        found = metrics.activation_range(
            {"a": UnitState(2), "b": state_of([[np.nan]]), "c": state_of([[3.0]])}
        )
        assert found.left_out == ("a", "b")
        assert found.maxima == {"c": 3.0}
        assert found.consistency == 0

    @pytest.mark.parametrize("peaks", [[], [0.0, 0.0], [-1.0, -3.0], [1.0, -1.0]])
    def test_consistency_is_nan_without_a_positive_mean(self, peaks: list[float]) -> None:
        found = metrics.activation_range({str(i): state_of([[peak]]) for i, peak in enumerate(peaks)})
        assert math.isnan(found.consistency)

    def test_huge_maxima_do_not_overflow(self) -> None:
        found = metrics.activation_range({str(i): state_of([[1.7e308]]) for i in range(3)})
        assert found.consistency == 0
