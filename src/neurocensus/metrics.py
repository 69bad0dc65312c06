"""NNU, activation spectrum and activation range, and what else follows from a state: pure functions.

Nothing here changes a `UnitState` or sees a tensor. Per-unit results are arrays of length ``units``;
a share of nothing is NaN.

Sources:
    NNU, spectrum, range: J. Smith, *Qualitative Assessment Metrics for Transfer Learning* (thesis).
    APoZ: Hu, Peng, Tai & Tang 2016, *Network Trimming*.
    Dormant units: Sokar, Agarwal, Castro & Evci 2023, *The Dormant Neuron Phenomenon in Deep RL*.
    Rule of three: Hanley & Lippman-Hand 1983, *If Nothing Goes Wrong, Is Everything All Right?*
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .state import UnitState

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


# Per unit


def unseen(state: UnitState) -> Mask:
    """Units with no value seen. They count as units, and are never dead."""
    return np.full(state.units, state.values == 0)


def nonfinite(state: UnitState) -> Mask:
    """Units with at least one NaN or infinite value. They are never dead, near-dead or dormant."""
    mask: Mask = state.finite != state.values
    return mask


def silent_fraction(state: UnitState) -> Floats:
    """Share of the examples on which each unit has no value above the threshold; NaN without examples.

    An example whose values are all zero or non-finite counts as silent; `nonfinite` tells those units.
    """
    return _share(state.examples - state.active_examples, np.full(state.units, state.examples))


def zero_fraction(state: UnitState) -> Floats:
    """Share of zeros among each unit's finite values: APoZ, average percentage of zeros, as a share."""
    return _share(state.finite - state.nonzero, state.finite)


def variance(state: UnitState) -> Floats:
    """Population variance (ddof 0) of each unit's finite values; NaN where there is none."""
    return _share(state.m2, state.finite)


def near_dead(state: UnitState, share: float = 0.99) -> Mask:
    """Units silent on more than `share` of the examples. Dead units are among them.

    Args:
        state: what is known of the layer.
        share: in [0, 1); the default asks for activity on at least one example in a hundred.

    Raises:
        ValueError: `share` is outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share: expected a number in [0, 1), got {share}; 0.99 means silent on over 99 %")
    with np.errstate(invalid="ignore"):
        return (silent_fraction(state) > share) & ~nonfinite(state)


def dormant(state: UnitState, tau: float = 0.025) -> Mask:
    """Units whose mean absolute value is at most `tau` times the average of their layer.

    The score of Sokar et al. 2023 is ``mean_abs / average(mean_abs)``; the paper reports ``tau`` 0,
    0.025 and 0.1. Where the whole layer is zero, every seen unit is dormant. The average is over the
    units with a finite value.

    Raises:
        ValueError: `tau` is negative or not finite.
    """
    if not (0 <= tau < math.inf):
        raise ValueError(f"tau: expected a finite number of at least 0, got {tau}")
    seen = state.finite > 0
    if not seen.any():
        return np.zeros(state.units, bool)
    peak = float(state.mean_abs[seen].max())
    relative = state.mean_abs / (peak or 1.0)  # in [0, 1], so that the sum cannot overflow
    below: Mask = relative <= tau * relative[seen].mean()
    return below & seen & ~nonfinite(state)


def firing_rate_bound(state: UnitState, confidence: float = 0.95) -> Floats:
    """Upper confidence bound of each dead unit's probability to fire on an example; NaN for the others.

    With 0 of n examples active the exact one-sided bound is ``1 - (1 - confidence) ** (1 / n)``, which
    is close to ``3 / n`` at 95 % (the rule of three). It holds for examples drawn independently from
    the population one wants to speak of.

    Raises:
        ValueError: `confidence` is outside (0, 1).
    """
    return np.where(state.dead, zero_event_bound(state.examples, confidence), np.nan)


def zero_event_bound(examples: int, confidence: float = 0.95) -> float:
    """Upper confidence bound of a probability after 0 events in `examples` trials; NaN without trials.

    Raises:
        ValueError: `confidence` is outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number in (0, 1), got {confidence}; 0.95 is usual")
    return -math.expm1(math.log1p(-confidence) / examples) if examples > 0 else math.nan


# Per model


def nnu(states: Iterable[UnitState]) -> float:
    """Neural network utilization: dead units / units. Lower is better. NaN without units."""
    dead, units = 0, 0
    for state in states:
        dead += int(np.count_nonzero(state.dead))
        units += state.units
    return dead / units if units else math.nan


def nnu_published(states: Iterable[UnitState]) -> float:
    """NNU as the thesis's tables count it: dead units / (units x examples). NaN where nothing was seen.

    It falls as the data set grows, so compare it over equal numbers of examples only.
    """
    dead, activations = 0, 0
    for state in states:
        dead += int(np.count_nonzero(state.dead))
        activations += state.units * state.examples
    return dead / activations if activations else math.nan


def skewness(sample: npt.ArrayLike) -> float:
    """Fisher-Pearson coefficient of skewness g1, biased (``scipy.stats.skew``'s default).

    NaN for fewer than 2 numbers, for a sample without variance, and where one is not finite.
    """
    x = np.asarray(sample, np.float64).ravel()
    scale = float(np.abs(x).max()) if len(x) > 1 else 0.0
    if scale == 0 or not math.isfinite(scale):
        return math.nan
    x = x / scale  # in [-1, 1], so that powers neither overflow nor vanish
    mean = float(x.mean())
    x -= mean
    spread = math.sqrt(float(np.square(x).mean()))
    if spread <= np.finfo(np.float64).eps * abs(mean):  # what is left is rounding
        return math.nan
    return float(np.mean((x / spread) ** 3))


def maxima(state: UnitState) -> Floats:
    """Maximum of each unit that has a finite value; shorter than ``units`` where some have none."""
    values: Floats = state.max[state.finite > 0]
    return values


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """The activation spectrum: a histogram of every unit's maximum, by layer, on shared bins.

    Dead units are counted apart and are in no bin, so ``counts + dead + left_out`` is the number of units.
    A maximum may be negative (a layer without ReLU whose unit never reaches zero): the bins reach down
    to the lowest one, and always include 0.
    """

    edges: Floats
    """Bin edges, shape (bins + 1,), ascending; every bin is half-open but the last."""
    counts: Mapping[str, Counts]
    """Living units per bin, shape (bins,), for each layer in network order."""
    dead: Mapping[str, int]
    """Dead units for each layer."""
    left_out: Mapping[str, int]
    """Units for each layer that have no finite value, and so no maximum."""
    skewness: float
    """Skewness of all maxima, dead units included. Positive: a long tail to the right."""
    skewness_living: float
    """Skewness without the dead units."""
    layer_skewness: Mapping[str, float]
    """Skewness of each layer's maxima, dead units included."""

    @property
    def units(self) -> int:
        """Units counted: living, dead and left out."""
        living = sum(int(counts.sum()) for counts in self.counts.values())
        return living + sum(self.dead.values()) + sum(self.left_out.values())

    def __repr__(self) -> str:
        return (
            f"<Spectrum of {len(self.counts)} layers, {self.units} units, {sum(self.dead.values())} dead: "
            f"{len(self.edges) - 1} bins from {self.edges[0]:g} to {self.edges[-1]:g}, "
            f"skewness {self.skewness:.4g}>"
        )


def spectrum(states: Mapping[str, UnitState], bins: int | Sequence[float] | Floats = 100) -> Spectrum:
    """The activation spectrum of a model's layers.

    Args:
        states: the layers' states by name, in network order.
        bins: how many bins of equal width, or their edges (ascending, covering every maximum).

    Raises:
        TypeError: `bins` is neither an integer nor numbers.
        ValueError: `bins` is less than 1, or edges that do not ascend or do not cover.
    """
    peaks = {name: maxima(state) for name, state in states.items()}
    living = {name: state.max[(state.finite > 0) & ~state.dead] for name, state in states.items()}
    everything = np.concatenate([np.zeros(0), *peaks.values()])
    alive = np.concatenate([np.zeros(0), *living.values()])
    edges = spectrum_edges(alive, bins)
    return Spectrum(
        edges=edges,
        counts={name: np.histogram(values, edges)[0].astype(np.int64) for name, values in living.items()},
        dead={name: int(np.count_nonzero(state.dead)) for name, state in states.items()},
        left_out={name: state.units - len(peaks[name]) for name, state in states.items()},
        skewness=skewness(everything),
        skewness_living=skewness(alive),
        layer_skewness={name: skewness(values) for name, values in peaks.items()},
    )


def spectrum_edges(values: Floats, bins: int | Sequence[float] | Floats) -> Floats:
    """Edges for `spectrum`: `bins` equal bins over `values` and 0, or `bins` itself where it is edges.

    Raises:
        TypeError, ValueError: as `spectrum`.
    """
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if np.ndim(bins) == 1:
        edges = np.asarray(bins, np.float64)
        if len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError(
                "bins: expected at least two finite, ascending edges; give an integer for equal bins"
            )
        if len(values) and (values.min() < edges[0] or values.max() > edges[-1]):
            raise ValueError(
                f"bins: expected edges that cover every maximum, {values.min():g} to {values.max():g}, "
                f"got {edges[0]:g} to {edges[-1]:g}; widen them"
            )
        return edges
    number = _integer("bins", bins)
    if number < 1:
        raise ValueError(f"bins: expected at least 1, got {number}")
    if low == high:
        high = 1.0  # only zeros, or nothing at all: any width will do
    edges = 2 * np.linspace(low / 2, high / 2, number + 1)  # high - low itself may overflow
    edges[0], edges[-1] = low, high
    return edges


@dataclass(frozen=True)
class Range:
    """The activation range: the maximum of each layer, and how even these are."""

    maxima: Mapping[str, float]
    """Largest finite value of each layer, in network order."""
    consistency: float
    """Coefficient of variation of the maxima, std (ddof 0) / mean: 0 is perfectly even. NaN where the
    mean is not positive, or no layer has a maximum."""
    left_out: tuple[str, ...] = ()
    """Layers without any finite value, which have no maximum."""


def activation_range(states: Mapping[str, UnitState]) -> Range:
    """The activation range of a model's layers, given by name in network order."""
    peaks = {name: float(maxima(state).max(initial=-np.inf)) for name, state in states.items()}
    found = {name: peak for name, peak in peaks.items() if peak > -math.inf}
    return Range(
        maxima=found,
        consistency=_variation(np.array(list(found.values()))),
        left_out=tuple(name for name in peaks if name not in found),
    )


def _variation(values: Floats) -> float:
    scale = float(np.abs(values).max(initial=0.0))
    if scale == 0:
        return math.nan
    values = values / scale
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else math.nan


def _share(part: npt.NDArray[Any], whole: Counts) -> Floats:
    out = np.full(len(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got a bool")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
