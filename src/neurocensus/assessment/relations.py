"""How the measures of a census go together with what a model is worth, over a set of models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .. import tables, text
from ..sheets import Column, Sheet, field
from .confusion import TITLES
from .ranks import FEWEST, SMALL, Correlation, Floats, Method, correlate

if TYPE_CHECKING:
    import pandas
    import rich.table
    from matplotlib.figure import Figure

Values: TypeAlias = "Sequence[float] | npt.NDArray[Any]"

NAMES: Final[dict[Method, str]] = {"spearman": "Spearman", "kendall": "Kendall"}
SYMBOLS: Final[dict[Method, str]] = {"spearman": "rho", "kendall": "tau"}
_DIGITS: Final = 12
"""Values that agree to so many significant digits are tied: less is rounding."""


@dataclass(frozen=True)
class Relation:
    """The rank correlation of one measure with one metric; NaN with a `reason` where there is none."""

    measure: str
    metric: str
    coefficient: float
    """Spearman's rho or Kendall's tau-b, in [-1, 1]."""
    low: float
    high: float
    """Confidence interval of the coefficient."""
    p: float
    """Two-sided p value of no association, for this pair alone."""
    p_holm: float
    """The same, adjusted for all pairs that were looked at (Holm 1979)."""
    models: int
    """Models that have both values."""
    reason: str = ""
    """Why there is no coefficient; empty if there is one."""


@dataclass(frozen=True)
class Relations:
    """Rank correlations of measures with metrics over one set of models. Made by `relations`."""

    method: Method
    confidence: float
    pairs: tuple[Relation, ...]
    """Every measure with every metric, in the order given."""

    def __getitem__(self, names: tuple[str, str]) -> Relation:
        """The relation of (measure, metric).

        Raises:
            KeyError: there is no such pair.
        """
        for pair in self.pairs:
            if (pair.measure, pair.metric) == names:
                return pair
        raise KeyError(names)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, in order."""
        return tuple(dict.fromkeys(pair.measure for pair in self.pairs))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in order."""
        return tuple(dict.fromkeys(pair.metric for pair in self.pairs))

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before believing a number here, one sentence each."""
        return tuple(_notes(self))

    def rows(self) -> list[dict[str, Any]]:
        """One row per pair, with the fields of `Relation`."""
        return [asdict(pair) for pair in self.pairs]

    def sheet(self) -> Sheet:
        """The pairs as a table for people: terminal, Markdown, CSV."""
        columns = (
            Column("measure", field("measure", readable), left=True),
            Column("metric", field("metric", readable), left=True),
            Column(SYMBOLS[self.method], field("coefficient", _coefficient)),
            Column(f"{text.percent(self.confidence)} interval", _interval),
            Column("p", field("p", p_value)),
            Column("p (Holm)", field("p_holm", p_value)),
            Column("models", field("models", text.count)),
        )
        title = f"{NAMES[self.method]}'s rank correlation"
        return Sheet("relations", title, columns, self.rows(), self.notes)

    def table(self) -> rich.table.Table:
        """A rich table, one row per pair, with the notes under it."""
        return self.sheet().table()

    def markdown(self) -> str:
        """A Markdown table, one row per pair, with the notes under it."""
        return self.sheet().markdown()

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row per pair.

        Raises:
            ImportError: pandas is not installed.
        """
        frame: pandas.DataFrame = tables.import_pandas().DataFrame(self.rows())
        return frame

    def to_dict(self) -> dict[str, Any]:
        """The relations ready for JSON: NaN is None."""
        body = {"method": self.method, "confidence": self.confidence, "pairs": self.rows()}
        out: dict[str, Any] = tables.json_ready({**body, "notes": self.notes})
        return out

    def plot(self) -> Figure:
        """The coefficients with their intervals, a panel per measure."""
        return plot_relations(self)

    def __str__(self) -> str:
        return str(self.sheet())


def relations(
    measures: Mapping[str, Values],
    metrics: Mapping[str, Values],
    *,
    method: Method = "spearman",
    confidence: float = 0.95,
    seed: int = 0,
) -> Relations:
    """Rank correlation of every measure with every metric, over models.

    The interval is meant for few models: `neurocensus.assessment.ranks` says how it is made and how often it
    holds. Both it and the p value suppose models drawn independently of each other, which variants of one
    network on one data set are not: read them as a description of these models.

    Args:
        measures: such as NNU, skewness and consistency: a value per model, in the same order everywhere.
        metrics: such as accuracy and F1, likewise. A value that is NaN or infinite leaves its model out.
        method: "spearman" (rho) or "kendall" (tau-b).
        confidence: of the interval, in (0, 1).
        seed: of the simulations behind the interval; the same seed gives the same numbers.

    Returns:
        The relations. Fewer than four models, or a side that is the same for all, give NaN and a reason.

    Raises:
        ModuleNotFoundError: SciPy is not installed.
        TypeError: a mapping or a list of numbers is something else.
        ValueError: no measures or metrics, lists of unequal lengths, or a setting out of its range.
    """
    if method not in get_args(Method):
        raise ValueError(f"method: expected 'spearman' or 'kendall', got {method!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number in (0, 1), got {confidence}; 0.95 is usual")
    x, y = _columns("measures", measures), _columns("metrics", metrics)
    lengths = {name: len(values) for name, values in (*x.items(), *y.items())}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"measures, metrics: expected a value per model in each, got lengths {lengths}")
    pairs = [
        _relation((measure, x[measure]), (metric, y[metric]), method, confidence, seed)
        for measure in x
        for metric in y
    ]
    adjusted = holm([pair.p for pair in pairs])
    return Relations(
        method, confidence, tuple(replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True))
    )


def plot_relations(relations: Relations) -> Figure:
    """The coefficients with their intervals, a panel per measure; what has none says why."""
    from ..plots.relations import plot_relations as draw

    return draw(relations)


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    Whatever the dependence between the tests, those below alpha have a family-wise error of at most alpha.
    NaN counts as no test and stays NaN.
    """
    out = [math.nan] * len(p)
    order = sorted((index for index in range(len(p)) if not math.isnan(p[index])), key=lambda index: p[index])
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p[index]))
        out[index] = largest
    return out


def _columns(argument: str, values: Mapping[str, Values]) -> dict[str, Floats]:
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{argument}: expected a mapping of names to values per model, got {type(values).__name__}"
        )
    if not values:
        raise ValueError(f'{argument}: expected at least one, got none; give {{"nnu": [0.02, 0.01, ...]}}')
    columns = {}
    for name, column in values.items():
        try:
            columns[name] = np.asarray(column, np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{argument}[{name!r}]: expected numbers, one per model: {error}") from error
        if columns[name].ndim != 1:
            raise ValueError(
                f"{argument}[{name!r}]: expected one number per model, got shape {columns[name].shape}"
            )
    return columns


def _relation(
    measure: tuple[str, Floats], metric: tuple[str, Floats], method: Method, confidence: float, seed: int
) -> Relation:
    both = np.isfinite(measure[1]) & np.isfinite(metric[1])
    x, y = _rounded(measure[1][both]), _rounded(metric[1][both])
    reason = ""
    if len(x) < FEWEST:
        reason = f"{text.plural(len(x), 'model')}, needs {FEWEST}"
    for side, column in (("measure", x), ("metric", y)):
        if not reason and (column == column[0]).all():
            reason = f"the {side} is constant"
    if reason:
        found = Correlation(math.nan, math.nan, math.nan, math.nan)
    else:
        found = correlate(x, y, method, confidence=confidence, seed=seed)
    return Relation(measure[0], metric[0], *found, p_holm=math.nan, models=len(x), reason=reason)


def _rounded(values: Floats) -> Floats:
    return np.array([float(f"{value:.{_DIGITS}g}") for value in values])


def readable(name: str) -> str:
    """A name such as ``false_positive_rate`` for people."""
    return {"nnu": "NNU", "nnu_published": "published NNU", **TITLES}.get(name, name.replace("_", " "))


def _coefficient(value: float) -> str:
    return text.NOT_AVAILABLE if math.isnan(value) else f"{value:.2f}"


def _interval(row: Mapping[str, Any]) -> str:
    return row["reason"] or f"{row['low']:.2f} to {row['high']:.2f}"


def p_value(p: float) -> str:
    """A p value with two digits; NaN is "n/a"."""
    if math.isnan(p):
        return text.NOT_AVAILABLE
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _notes(found: Relations) -> Iterator[str]:
    counts = [pair.models for pair in found.pairs if not pair.reason]
    tests = len(counts)
    if not tests:
        return
    models = text.count(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    yield (
        f"over {models} models; interval and p value suppose that these were drawn independently, which "
        "variants of one network on one data set are not: they describe, they do not prove"
    )
    if max(counts) <= SMALL:
        yield (
            "p from permutations, interval by inverting that test under a Gaussian copula: both are made for "
            "few models"
        )
    if min(counts) == FEWEST:
        yield "with 4 models no p value is below 0.083"
    if tests > 1:
        yield (
            f"{tests} pairs were tested: at 5 % each, {tests * 0.05:.2g} would show by chance alone. "
            "p (Holm) allows for that; it is too cautious where metrics restate one another, as accuracy and "
            "misclassification rate do"
        )
