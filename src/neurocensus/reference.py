"""The definition of every statistic, in float64 NumPy.

Nothing here is fast, and nothing needs to be: this module decides what a statistic *is*, and the
compiled core is tested against it. Read it top to bottom.

An array of activations is seen as a cube ``(example, unit, position)``. A *value* is one scalar of
it. NaN and infinities are counted and then left out of everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The histogram: log-linear bins, eight to the octave, for 2**-32 <= abs(value) < 2**32.
EXPONENT_LOW, EXPONENT_HIGH, BINS_PER_OCTAVE = -32, 32, 8
BINS_PER_SIGN = (EXPONENT_HIGH - EXPONENT_LOW) * BINS_PER_OCTAVE
# In ascending order of value: above (-), bins (-), below (-), zero, below (+), bins (+), above (+).
ZERO_BIN = BINS_PER_SIGN + 2
HISTOGRAM_SIZE = 2 * ZERO_BIN + 1


@dataclass
class Census:
    """What is known of one layer's units. Arrays have one entry per unit."""

    examples: int  # examples with at least one value seen
    values: int  # values seen per unit
    next_example: int  # one past the highest example index offered
    nonzero: npt.NDArray[np.int64]  # finite values with abs(value) > threshold
    active_examples: npt.NDArray[np.int64]  # examples with any such value
    max: npt.NDArray[np.float64]  # over finite values, -inf if there is none
    min: npt.NDArray[np.float64]  # over finite values, +inf if there is none
    argmax: npt.NDArray[np.int64]  # lowest example index that reaches max, -1 if there is none
    mean: npt.NDArray[np.float64]  # over finite values, 0 if there is none
    m2: npt.NDArray[np.float64]  # sum of (value - mean)**2 over finite values
    mean_abs: npt.NDArray[np.float64]  # mean of abs(value) over finite values
    nan: npt.NDArray[np.int64]  # values that are NaN
    inf: npt.NDArray[np.int64]  # values that are +inf or -inf
    histogram: npt.NDArray[np.int64]  # finite values of all units, in HISTOGRAM_SIZE bins

    @property
    def finite(self) -> npt.NDArray[np.int64]:
        """Values that are neither NaN nor infinite."""
        return self.values - self.nan - self.inf

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """At least one value seen, all of them zero, none of them NaN or infinite."""
        dead: npt.NDArray[np.bool_] = (self.values > 0) & (self.finite == self.values) & (self.nonzero == 0)
        return dead


def empty(units: int) -> Census:
    """The identity of `merge`: nothing seen yet."""

    def counts() -> npt.NDArray[np.int64]:
        return np.zeros(units, np.int64)

    def reals() -> npt.NDArray[np.float64]:
        return np.zeros(units, np.float64)

    return Census(
        examples=0, values=0, next_example=0,
        nonzero=counts(), active_examples=counts(),
        max=reals() - np.inf, min=reals() + np.inf, argmax=counts() - 1,
        mean=reals(), m2=reals(), mean_abs=reals(), nan=counts(), inf=counts(),
        histogram=np.zeros(HISTOGRAM_SIZE, np.int64),
    )  # fmt: skip


def census(
    array: npt.ArrayLike,
    unit_axis: int = 1,
    *,
    example_axis: int = 0,
    mask: npt.ArrayLike | None = None,
    threshold: float = 0.0,
    first_example: int = 0,
) -> Census:
    """Count an array of activations; `mask` of shape (example, *positions) is True where to look."""
    cube, kept = _cube(array, unit_axis, example_axis, mask)
    examples, units = cube.shape[:2]
    seen = np.broadcast_to(kept[:, None, :], cube.shape)
    nan, inf = np.isnan(cube) & seen, np.isinf(cube) & seen
    finite = seen & ~nan & ~inf
    active = finite & (np.abs(cube) > threshold)

    out = empty(units)
    out.examples = int(kept.any(axis=1).sum())
    out.values = int(kept.sum())
    out.next_example = first_example + examples
    out.nonzero = active.sum(axis=(0, 2))
    out.active_examples = active.any(axis=2).sum(axis=0)
    out.nan, out.inf = nan.sum(axis=(0, 2)), inf.sum(axis=(0, 2))
    out.histogram = histogram(cube[finite])
    for unit in range(units):
        values = cube[:, unit][finite[:, unit]]
        if len(values):
            out.max[unit], out.min[unit] = values.max() + 0.0, values.min() + 0.0  # no -0.0
            at_max = finite[:, unit] & (cube[:, unit] == out.max[unit])
            out.argmax[unit] = first_example + int(at_max.any(axis=1).argmax())
            out.mean[unit] = values.mean()
            out.m2[unit] = ((values - values.mean()) ** 2).sum()
            out.mean_abs[unit] = np.abs(values).mean()
    return out


def _cube(
    array: npt.ArrayLike, unit_axis: int, example_axis: int, mask: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The array as (example, unit, position), and which positions of each example to look at."""
    cube = np.moveaxis(np.asarray(array, np.float64), (example_axis, unit_axis), (0, 1))
    examples, units, positions = cube.shape[0], cube.shape[1], cube.shape[2:]
    cube = cube.reshape(examples, units, int(np.prod(positions)))
    if mask is None:
        return cube, np.ones((examples, cube.shape[2]), bool)
    kept = np.asarray(mask, bool)
    kept = kept.reshape(examples, 1 if kept.ndim == 1 else cube.shape[2])
    return cube, np.broadcast_to(kept, (examples, cube.shape[2]))


def top(
    array: npt.ArrayLike,
    k: int,
    unit_axis: int = 1,
    *,
    example_axis: int = 0,
    mask: npt.ArrayLike | None = None,
    first_example: int = 0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The k examples that activate each unit most, the strongest first; of equals, those of lowest index.

    What a unit gives on an example is its largest finite value over the positions kept.

    Returns:
        values, float64 (units, k): -inf where there is no such example.
        examples, int64 (units, k): their indices, -1 where there is none.
    """
    cube, kept = _cube(array, unit_axis, example_axis, mask)
    values, examples = np.full((cube.shape[1], k), -np.inf), np.full((cube.shape[1], k), -1)
    for unit in range(cube.shape[1]):
        found = []
        for example, (row, keep) in enumerate(zip(cube[:, unit], kept, strict=True), first_example):
            finite = row[keep & np.isfinite(row)]
            if len(finite):
                found.append((finite.max() + 0.0, example))  # no -0.0
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        for rank, pair in enumerate(found[:k]):
            values[unit, rank], examples[unit, rank] = pair
    return values, examples


def merge(a: Census, b: Census) -> Census:
    """The census of both parts together (moments: Chan, Golub & LeVeque 1983)."""
    total = a.finite + b.finite
    share = np.divide(b.finite, total, out=np.zeros(len(total)), where=total > 0)  # b's weight
    delta = b.mean - a.mean
    b_wins = (b.max > a.max) | ((b.max == a.max) & (a.argmax > b.argmax) & (b.argmax >= 0))
    return Census(
        examples=a.examples + b.examples,
        values=a.values + b.values,
        next_example=max(a.next_example, b.next_example),
        nonzero=a.nonzero + b.nonzero,
        active_examples=a.active_examples + b.active_examples,
        max=np.maximum(a.max, b.max),
        min=np.minimum(a.min, b.min),
        argmax=np.where(b_wins, b.argmax, a.argmax),
        mean=a.mean + delta * share,
        m2=a.m2 + b.m2 + delta**2 * a.finite * share,
        mean_abs=a.mean_abs + (b.mean_abs - a.mean_abs) * share,
        nan=a.nan + b.nan,
        inf=a.inf + b.inf,
        histogram=a.histogram + b.histogram,
    )


def bin_index(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The histogram bin of each finite value. ``bin_index(-x) == HISTOGRAM_SIZE - 1 - bin_index(x)``."""
    values = np.asarray(values, np.float64)
    mantissa, exponent = np.frexp(np.abs(values))  # abs = mantissa * 2**exponent, mantissa in [.5, 1)
    octave, step = exponent - 1 - EXPONENT_LOW, np.floor((2 * mantissa - 1) * BINS_PER_OCTAVE)
    index = octave * BINS_PER_OCTAVE + step.astype(np.int64)
    offset = 2 + np.clip(index, -1, BINS_PER_SIGN)  # 1 is below the window, the last is above it
    bins: npt.NDArray[np.int64] = ZERO_BIN + (np.sign(values) * offset).astype(np.int64)
    return bins


def bin_edges() -> npt.NDArray[np.float64]:
    """Edges, float64 of shape (HISTOGRAM_SIZE + 1,); the zero bin has both its edges at 0.

    Positive bins hold ``edge[i] <= value < edge[i + 1]``, negative ones mirror them.
    """
    octaves = 2.0 ** np.arange(EXPONENT_LOW, EXPONENT_HIGH)
    steps = 1 + np.arange(BINS_PER_OCTAVE) / BINS_PER_OCTAVE
    positive = np.concatenate([[0.0], np.outer(octaves, steps).ravel(), [2.0**EXPONENT_HIGH, np.inf]])
    return np.concatenate([-positive[::-1], positive])


def histogram(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Counts of finite values, int64 of shape (HISTOGRAM_SIZE,)."""
    return np.bincount(bin_index(values).ravel(), minlength=HISTOGRAM_SIZE).astype(np.int64)
