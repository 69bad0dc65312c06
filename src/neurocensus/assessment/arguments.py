"""What users give for labels and scores, checked and as NumPy arrays."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import text
from ..arrays import is_torch

Labels: TypeAlias = npt.NDArray[np.int64]
Scores: TypeAlias = npt.NDArray[np.float64]


def labels_and_scores(labels: Any, scores: Any) -> tuple[Labels, Scores]:
    """Labels (N,) and scores (N,) or (N, k), k at least 2, of the same N of at least 1; all scores finite.

    Raises:
        TypeError: labels that are not integers, scores that are not numbers.
        ValueError: shapes that do not fit, no example, a score that is NaN or infinite.
    """
    y, s = _array("labels", labels), _array("scores", scores)
    if not y.size:
        raise ValueError("labels: expected at least one example, got none")
    if y.dtype.kind not in "biu":
        raise TypeError(f"labels: expected integers, got {y.dtype}; use .astype(int), or number the classes")
    if s.dtype.kind not in "fiu":
        raise TypeError(f"scores: expected real numbers, got {s.dtype}")
    if y.ndim != 1:
        raise ValueError(f"labels: expected shape (N,), got {y.shape}; use .reshape(-1)")
    if s.ndim == 2 and s.shape[1] == 1:
        s = s[:, 0]
    if s.ndim not in (1, 2) or len(s) != len(y):
        raise ValueError(
            f"scores: expected shape ({len(y)},) or ({len(y)}, classes), one row per label, got {s.shape}"
        )
    s = s.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(s.reshape(len(s), -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"scores: expected finite numbers, got NaN or infinite ones for {text.count(len(bad))} of "
            f"{text.plural(len(s), 'example')}, first at index {bad[0]}; a model that gives them has "
            "diverged: train it at a lower learning rate"
        )
    return y.astype(np.int64), s


def binary(labels: Any, scores: Any) -> tuple[Labels, Scores]:
    """Labels (N,) of 0 and 1 and scores (N,), the higher the more likely 1.

    Raises:
        TypeError, ValueError: as `labels_and_scores`, and for more than two classes.
    """
    y, s = labels_and_scores(labels, scores)
    if s.ndim == 2:
        raise ValueError(
            f"scores: expected one per example, of class 1, got shape {s.shape}; of two classes give the "
            "second column, for more use neurocensus.assessment.accuracy"
        )
    found = np.unique(y)
    if not np.isin(found, (0, 1)).all():
        listed = f"{found[0]} to {found[-1]}" if len(found) > 4 else ", ".join(map(str, found))
        raise ValueError(
            f"labels: expected two classes, 0 and 1, got {text.plural(len(found), 'value')}: {listed}; "
            "number the classes 0 and 1, for more use neurocensus.assessment.accuracy"
        )
    return y, s


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    if is_torch(values):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: expected an array of numbers, got {type(values).__name__}: {error}"
        ) from error
