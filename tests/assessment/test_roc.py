from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocensus.assessment import confusion, roc

examples = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


@given(examples)
def test_the_area_is_the_chance_to_rank_a_pair_right(pairs: list[tuple[bool, int]]) -> None:
    labels, scores = np.array(pairs).T
    positive, negative = scores[labels == 1], scores[labels == 0]
    above = np.sign(positive[:, None] - negative[None])
    assert roc(labels, scores).auc == pytest.approx((1 + above.mean()) / 2)


@settings(max_examples=15)
@given(examples)
def test_corners_are_confusion_matrices(pairs: list[tuple[bool, int]]) -> None:
    labels, scores = np.array(pairs).T
    curve = roc(labels, scores)
    assert (curve.fpr[0], curve.tpr[0], curve.thresholds[0]) == (0, 0, math.inf)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)
    for fpr, tpr, threshold in zip(curve.fpr[1:], curve.tpr[1:], curve.thresholds[1:], strict=True):
        found = confusion(labels, scores, threshold=np.nextafter(threshold, -math.inf))  # from it on
        assert (fpr, tpr) == pytest.approx((found.false_positive_rate, found.true_positive_rate))


@given(examples)
def test_any_monotone_scale_gives_the_same_curve(pairs: list[tuple[bool, int]]) -> None:
    labels, scores = np.array(pairs).T
    np.testing.assert_array_equal(roc(labels, scores).tpr, roc(labels, np.exp(scores)).tpr)


def test_one_class_has_no_curve() -> None:
    for labels in ([1, 1], [0, 0]):
        curve = roc(labels, [0.2, 0.8])
        assert math.isnan(curve.auc)
        assert len(curve.fpr) == len(curve.tpr) == len(curve.thresholds) == 0


def test_json() -> None:
    body = json.loads(json.dumps(roc([0, 1], [0.2, 0.8]).to_dict(), allow_nan=False))
    assert body == {"auc": 1.0, "fpr": [0, 0, 1], "tpr": [0, 1, 1], "thresholds": [None, 0.8, 0.2]}
    assert repr(roc([0, 1], [0.2, 0.8])) == "<Roc of 3 corners, auc 1>"


def test_labels_must_be_two_classes() -> None:
    with pytest.raises(ValueError, match="labels: expected two classes, 0 and 1, got 2 values: 1, 2"):
        roc([1, 2], [0.2, 0.8])
