from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocensus.assessment import METRICS, Confusion, accuracy, confusion
from neurocensus.experiments.published import TABLE_4_1
from neurocensus.tables import json_ready

counts = st.integers(0, 60)


def share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, int]:
    cells = {name: draw(counts) for name in ("tp", "fp", "tn", "fn")}
    if not any(cells.values()):
        cells["tn"] = 1
    return cells


def examples(tp: int, fp: int, tn: int, fn: int) -> tuple[list[int], list[float]]:
    labels = [1] * tp + [0] * fp + [0] * tn + [1] * fn
    return labels, [0.9] * (tp + fp) + [0.1] * (tn + fn)


class TestMetrics:
    def test_are_those_of_table_4_1(self) -> None:
        cells = {"tp": TABLE_4_1.tp, "fp": TABLE_4_1.fp, "tn": TABLE_4_1.tn, "fn": TABLE_4_1.fn}
        found = confusion(*examples(**cells))
        assert {name: round(value, 3) for name, value in found.metrics().items()} == TABLE_4_1.metrics
        assert (found.tp, found.fp, found.tn, found.fn, found.examples) == (28, 5, 12, 5, 50)

    @given(matrices())
    def test_follow_their_formulas(self, cells: dict[str, int]) -> None:
        """Undefined ones are NaN; a warning of scikit-learn would fail the test."""
        tp, fp, tn, fn = cells["tp"], cells["fp"], cells["tn"], cells["fn"]
        n, positives, negatives = tp + fp + tn + fn, tp + fn, fp + tn
        observed = (tp + tn) / n
        chance = (positives * (tp + fp) + negatives * (fn + tn)) / n**2
        expected = {
            "accuracy": observed,
            "misclassification_rate": (fp + fn) / n,
            "true_positive_rate": share(tp, positives),
            "false_positive_rate": share(fp, negatives),
            "true_negative_rate": share(tn, negatives),
            "precision": share(tp, tp + fp),
            "prevalence": positives / n,
            "null_error_rate": min(positives, negatives) / n,
            "cohens_kappa": math.nan if n in (tp, tn) else (observed - chance) / (1 - chance),
            "f1": share(2 * tp, 2 * tp + fp + fn),
        }
        found = Confusion.from_counts(**cells).metrics()
        assert tuple(found) == METRICS == tuple(expected)
        assert found == pytest.approx(expected, nan_ok=True, abs=1e-12)

    @settings(max_examples=20)
    @given(matrices())
    def test_of_counts_and_of_examples_are_the_same(self, cells: dict[str, int]) -> None:
        found, expected = confusion(*examples(**cells)), Confusion.from_counts(**cells)
        assert found.to_dict() == pytest.approx(expected.to_dict(), nan_ok=True, abs=0)

    @settings(max_examples=20)
    @given(matrices())
    def test_turn_round_with_the_classes(self, cells: dict[str, int]) -> None:
        turned = Confusion.from_counts(tp=cells["tn"], fp=cells["fn"], tn=cells["tp"], fn=cells["fp"])
        found = Confusion.from_counts(**cells)
        assert found.true_positive_rate == pytest.approx(turned.true_negative_rate, nan_ok=True)
        for same in ("accuracy", "null_error_rate", "cohens_kappa"):
            assert getattr(found, same) == pytest.approx(getattr(turned, same), nan_ok=True, abs=1e-12)

    def test_survive_json(self) -> None:
        found = Confusion.from_counts(tp=0, fp=0, tn=3, fn=0)
        read = Confusion.from_dict(json.loads(json.dumps(json_ready(found.to_dict()))))
        assert read == found
        assert math.isnan(read.precision)

    @pytest.mark.parametrize(
        ("cells", "error", "message"),
        [
            ({"tp": 0, "fp": 0, "tn": 0, "fn": 0}, ValueError, "expected at least one example, got all 0"),
            ({"tp": 1, "fp": -1, "tn": 0, "fn": 0}, ValueError, "fp: expected a count of at least 0, got -1"),
            ({"tp": 0.5, "fp": 0, "tn": 0, "fn": 0}, TypeError, "integer"),
        ],
    )
    def test_of_impossible_counts_are_errors(
        self, cells: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            Confusion.from_counts(**cells)


class TestPredictions:
    def test_positive_is_above_the_threshold(self) -> None:
        """A model whose units are all dead says 0.5 to everything, which Keras takes for class 0."""
        found = confusion([0, 1, 1], [0.5, 0.5, np.nextafter(0.5, 1)])
        assert (found.tp, found.fp, found.tn, found.fn) == (1, 0, 1, 1)
        assert confusion([0, 1], [-0.1, 0.1], threshold=0).accuracy == 1
        assert accuracy([0, 1], [0.5, 0.5]) == 0.5

    @pytest.mark.parametrize(
        ("labels", "scores"),
        [
            ([0, 1, 1], [0.2, 0.8, 0.4]),
            (np.array([False, True, True]), np.array([[0.2], [0.8], [0.4]], np.float16)),
            (np.array([0, 1, 1], np.uint8), torch.tensor([0.2, 0.8, 0.4], requires_grad=True)),
            (torch.tensor([0, 1, 1]), torch.tensor([[0.2], [0.8], [0.4]], dtype=torch.bfloat16)),
        ],
    )
    def test_are_taken_from_arrays_tensors_and_lists(self, labels: Any, scores: Any) -> None:
        found = confusion(labels, scores)
        assert (found.tp, found.fp, found.tn, found.fn) == (1, 0, 1, 1)
        assert accuracy(labels, scores) == found.accuracy == pytest.approx(2 / 3)

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
    def test_of_several_classes_are_the_highest_scores(self, pairs: list[tuple[int, int]]) -> None:
        labels, predicted = np.array(pairs).T
        scores = np.eye(3)[predicted]
        assert accuracy(labels, scores) == pytest.approx(np.mean(labels == predicted))

    def test_of_two_columns_are_the_higher(self) -> None:
        assert accuracy([0, 1, 1], [[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "scores", "error", "message"),
    [
        ([], [], ValueError, "labels: expected at least one example, got none"),
        ([0, 1], [0.5], ValueError, r"scores: expected shape \(2,\) or \(2, classes\), .* got \(1,\)"),
        ([[0], [1]], [0.1, 0.2], ValueError, r"labels: expected shape \(N,\), got \(2, 1\)"),
        ([0.0, 1.0], [0.1, 0.2], TypeError, "labels: expected integers, got float64; use .astype"),
        (["cat", "dog"], [0.1, 0.2], TypeError, "labels: expected integers"),
        ([0, 1], ["a", "b"], TypeError, "scores: expected real numbers"),
        ([0, 1], [0.1, 1j], TypeError, "scores: expected real numbers, got complex128"),
        ([0, 1, 0], [0.1, math.nan, math.inf], ValueError, "for 2 of 3 examples, first at index 1"),
        ([0, 1], [[0.1], [0.2, 0.3]], TypeError, "scores: expected an array of numbers, got list"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [confusion, accuracy])
def test_bad_arguments_are_named(
    function: Any, labels: Any, scores: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(labels, scores)


def test_more_than_two_classes_are_named() -> None:
    with pytest.raises(ValueError, match="labels: expected two classes, 0 and 1, got 3 values: 0, 1, 2"):
        confusion([0, 1, 2], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="got 10 values: 0 to 9"):
        confusion(np.arange(10), np.zeros(10))
    with pytest.raises(ValueError, match=r"scores: expected one per example, of class 1, got shape \(2, 2\)"):
        confusion([0, 1], np.zeros((2, 2)))
    with pytest.raises(
        ValueError, match="labels: expected 0 to 2, one of the 3 columns of scores, got 0 to 3"
    ):
        accuracy([0, 3], np.zeros((2, 3)))


def test_a_threshold_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="threshold: expected a finite number, got nan"):
        confusion([0, 1], [0.1, 0.2], threshold=math.nan)
