"""The receiver operating characteristic of a binary model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .arguments import binary
from .libraries import sklearn_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Roc:
    """A ROC curve: its corners from (0, 0) to (1, 1). Made by `roc`.

    With examples of one class only there is no curve: the arrays are empty and `auc` is NaN.
    """

    fpr: Floats
    """False positive rates, shape (corners,), ascending."""
    tpr: Floats
    """True positive rates, shape (corners,), ascending."""
    thresholds: Floats
    """Scores, shape (corners,), descending: each corner predicts positive from this score on; the first one,
    infinite, predicts nothing so."""
    auc: float
    """Area under the curve: the chance that a positive example scores above a negative one, ties at half."""

    def to_dict(self) -> dict[str, Any]:
        """The curve ready for JSON: what is NaN or infinite is None."""
        body = {"auc": self.auc, "fpr": self.fpr, "tpr": self.tpr, "thresholds": self.thresholds}
        out: dict[str, Any] = tables.json_ready(body)
        return out

    def __repr__(self) -> str:
        return f"<Roc of {len(self.fpr)} corners, auc {self.auc:.4g}>"


def roc(labels: Any, scores: Any) -> Roc:
    """The ROC curve of a binary model, by scikit-learn.

    Args:
        labels: integers 0 (negative) and 1 (positive), shape (N,): an array, a tensor or a list.
        scores: shape (N,) or (N, 1), the higher the more likely 1; any monotone scale.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        TypeError: labels that are not integers, or scores that are not numbers.
        ValueError: labels other than 0 and 1, shapes that do not fit, no example, scores that are not finite.
    """
    y, s = binary(labels, scores)
    sk = sklearn_metrics()
    if y.min() == y.max():
        return Roc(np.zeros(0), np.zeros(0), np.zeros(0), np.nan)
    fpr, tpr, thresholds = sk.roc_curve(y, s)
    return Roc(fpr, tpr, thresholds, float(sk.auc(fpr, tpr)))


def plot_roc(curves: Mapping[str, Roc]) -> Figure:
    """ROC curves of models on shared axes, by name."""
    from ..plots.roc import plot_roc as draw

    return draw(curves)
