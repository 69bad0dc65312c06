"""The confusion matrix of two classes with its ten metrics (table 4.1 of the thesis), and accuracy."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from .arguments import binary, labels_and_scores
from .libraries import sklearn_metrics

TITLES: Final = {
    "accuracy": "accuracy",
    "misclassification_rate": "misclassification rate",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
    "true_negative_rate": "true negative rate",
    "precision": "precision",
    "prevalence": "prevalence",
    "null_error_rate": "null error rate",
    "cohens_kappa": "Cohen's kappa",
    "f1": "F1",
}
"""What people call the ten metrics."""
METRICS: Final = tuple(TITLES)
"""The ten metrics of table 4.1, in its order."""


@dataclass(frozen=True)
class Confusion:
    """Four counts of examples and what follows from them. A share of nothing is NaN, never 0 or 1.

    Made by `confusion`, or by `Confusion.from_counts`.
    """

    tp: int
    """Positives predicted positive."""
    fp: int
    """Negatives predicted positive."""
    tn: int
    """Negatives predicted negative."""
    fn: int
    """Positives predicted negative."""
    accuracy: float
    misclassification_rate: float
    """1 - accuracy."""
    true_positive_rate: float
    """Recall, sensitivity: tp / (tp + fn). NaN without positives."""
    false_positive_rate: float
    """fp / (fp + tn). NaN without negatives."""
    true_negative_rate: float
    """Specificity: tn / (fp + tn). NaN without negatives."""
    precision: float
    """tp / (tp + fp). NaN where nothing was predicted positive."""
    prevalence: float
    """Share of positives among the examples."""
    null_error_rate: float
    """Error of always predicting the more frequent class."""
    cohens_kappa: float
    """Agreement beyond chance, 1 at most. 0 where the labels, or the predictions, are of one class; NaN where
    both are of the same one."""
    f1: float
    """Harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn). NaN where that divides by 0."""

    @classmethod
    def from_counts(cls, *, tp: int, fp: int, tn: int, fn: int) -> Confusion:
        """The metrics of four counts, by scikit-learn.

        Raises:
            ModuleNotFoundError: scikit-learn is not installed.
            TypeError: a count is not an integer.
            ValueError: a count is negative, or all are 0.
        """
        counts = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
        for name, count in counts.items():
            if operator.index(count) < 0:
                raise ValueError(f"{name}: expected a count of at least 0, got {count}")
        total = sum(counts.values())
        if not total:
            raise ValueError("tp, fp, tn, fn: expected at least one example, got all 0")
        sk = sklearn_metrics()
        # One example per cell, weighted by its count.
        cells: dict[str, Any] = {
            "y_true": [1, 0, 0, 1], "y_pred": [1, 1, 0, 0], "sample_weight": [tp, fp, tn, fn]
        }  # fmt: skip
        undefined = {"zero_division": np.nan}
        accuracy = float(sk.accuracy_score(**cells))
        specificity = float(sk.recall_score(**cells, **undefined, pos_label=0))
        unanimous = total in (tp, tn)  # scikit-learn divides 0 by 0 there, with a warning
        return cls(
            **counts,
            accuracy=accuracy,
            misclassification_rate=float(sk.zero_one_loss(**cells)),
            true_positive_rate=float(sk.recall_score(**cells, **undefined)),
            false_positive_rate=1 - specificity,
            true_negative_rate=specificity,
            precision=float(sk.precision_score(**cells, **undefined)),
            prevalence=(tp + fn) / total,
            null_error_rate=min(tp + fn, fp + tn) / total,
            cohens_kappa=math.nan if unanimous else _kappa(sk, **cells),
            f1=float(sk.f1_score(**cells, **undefined)),
        )

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Confusion:
        """What `to_dict` gave, also by way of JSON: only the four counts are read.

        Raises:
            KeyError: a count is missing.
        """
        return cls.from_counts(tp=body["tp"], fp=body["fp"], tn=body["tn"], fn=body["fn"])

    @property
    def examples(self) -> int:
        """How many examples were counted."""
        return self.tp + self.fp + self.tn + self.fn

    def metrics(self) -> dict[str, float]:
        """The ten metrics by name, in the order of `METRICS`."""
        return {name: getattr(self, name) for name in METRICS}

    def to_dict(self) -> dict[str, int | float]:
        """The four counts and the ten metrics by name; NaN where one is undefined."""
        return asdict(self)


def confusion(labels: Any, scores: Any, *, threshold: float = 0.5) -> Confusion:
    """The confusion matrix of a binary model, and its ten metrics.

    Args:
        labels: integers 0 (negative) and 1 (positive), shape (N,): an array, a tensor or a list.
        scores: shape (N,) or (N, 1), the higher the more likely 1.
        threshold: a score *above* it is predicted positive, as by Keras: a model that says 0.5 to everything,
            such as one whose units are all dead, predicts class 0. For logits give 0.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        TypeError: labels that are not integers, or scores that are not numbers.
        ValueError: labels other than 0 and 1, shapes that do not fit, no example, scores that are not finite.
    """
    if not math.isfinite(threshold):
        raise ValueError(f"threshold: expected a finite number, got {threshold}; 0.5 suits probabilities")
    y, s = binary(labels, scores)
    matrix = sklearn_metrics().confusion_matrix(y, s > threshold, labels=[0, 1])
    tn, fp, fn, tp = (int(count) for count in matrix.ravel())
    return Confusion.from_counts(tp=tp, fp=fp, tn=tn, fn=fn)


def accuracy(labels: Any, scores: Any) -> float:
    """Share of the examples that are classified as their label says.

    Args:
        labels: integers from 0 on, shape (N,).
        scores: probabilities of class 1, shape (N,) or (N, 1), positive above 0.5; or a score per class,
            shape (N, k), where the highest counts, of equal ones the first.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        TypeError, ValueError: as `confusion`; labels outside 0 to k - 1.
    """
    y, s = labels_and_scores(labels, scores)
    if s.ndim == 1:
        return confusion(y, s).accuracy
    if y.min() < 0 or y.max() >= s.shape[1]:
        raise ValueError(
            f"labels: expected 0 to {s.shape[1] - 1}, one of the {s.shape[1]} columns of scores, got "
            f"{y.min()} to {y.max()}"
        )
    return float(sklearn_metrics().accuracy_score(y, s.argmax(axis=1)))


def _kappa(sk: Any, *, y_true: list[int], y_pred: list[int], sample_weight: list[int]) -> float:
    return float(sk.cohen_kappa_score(y_true, y_pred, sample_weight=sample_weight))
