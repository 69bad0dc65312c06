"""Lines of best fit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = "Sequence[float] | npt.NDArray[np.generic]"


@dataclass(frozen=True)
class Line:
    """``y = intercept + slope * x``, with `log` ``y = intercept + slope * log10(x)``. Made by `best_fit`."""

    slope: float
    """Change of y per unit of x; with `log`, per decade of x."""
    intercept: float
    """y at x = 0; with `log`, at x = 1."""
    r: float
    """Pearson's correlation of x (with `log`, of log10(x)) and y, in [-1, 1]; NaN where y is constant."""
    n: int
    """Pairs that the line was fitted to."""
    log: bool = False
    """Fitted to log10(x)."""

    def at(self, x: Values) -> Floats:
        """The line's y at each x, float64 of the shape of `x`."""
        values = np.asarray(x, np.float64)
        return self.intercept + self.slope * (np.log10(values) if self.log else values)


def best_fit(x: Values, y: Values, *, log: bool = False) -> Line | None:
    """The line of least squares through pairs of numbers.

    Args:
        x: shape (N,).
        y: shape (N,). A pair of which either is NaN or infinite is left out.
        log: fit to log10(x), for values spread over decades; all x must be above 0.

    Returns:
        The line; None where fewer than two different x remain.

    Raises:
        ValueError: shapes that are not (N,) or differ; with `log`, an x that is not above 0.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"x, y: expected one number each per pair, got shapes {a.shape} and {b.shape}")
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if log:
        if (a <= 0).any():
            raise ValueError(f"x: expected numbers above 0 for log=True, got {a.min():g}; use log=False")
        a = np.log10(a)
    first, second = a.tolist(), b.tolist()
    if len(set(first)) < 2:
        return None
    if len(set(second)) < 2:  # decided here: the mean of equal numbers may be off by rounding
        return Line(0.0, second[0], math.nan, len(second), log)
    try:
        slope, intercept = statistics.linear_regression(first, second)
    except statistics.StatisticsError:  # they differ by so little that the squares are 0
        return None
    return Line(slope, intercept, _correlation(first, second), len(first), log)


def _correlation(x: list[float], y: list[float]) -> float:
    try:
        return max(-1.0, min(1.0, statistics.correlation(x, y)))  # rounding may carry it past 1
    except statistics.StatisticsError:  # as above
        return math.nan
