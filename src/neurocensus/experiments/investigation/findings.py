"""What the thesis says of its investigation phase, beside what was found.

Source: J. Smith, *Qualitative Assessment Metrics for Transfer Learning*, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from ... import text
from ...explain import Lives
from ...sweeps.lines import best_fit
from ...sweeps.records import LEARNING_RATE
from .running import Investigation

TABLE_4_1: Final = MappingProxyType(
    {
        "accuracy": 0.8,
        "misclassification_rate": 0.2,
        "true_positive_rate": 0.848,
        "false_positive_rate": 0.294,
        "true_negative_rate": 0.706,
        "precision": 0.848,
        "prevalence": 0.66,
        "null_error_rate": 0.34,
        "cohens_kappa": 0.554,
        "f1": 0.848,
    }
)
"""The published metrics of the baseline cat network on its 50 test images."""
ROUNDING: Final = 0.0005
"""Of the published values."""
WEAK: Final = 0.3
"""A correlation below it says little."""
DEAD_PUBLISHED: Final = 5
"""Dead units among the 20 of the first hidden layer: neurons 4, 7, 12, 14 and 19 (figure 4.4)."""


@dataclass(frozen=True)
class Finding:
    """One of the thesis's statements and what came out here."""

    statement: str
    found: str
    agrees: bool | None
    """None: neither one nor the other."""

    @property
    def verdict(self) -> str:
        """For people."""
        return {True: "agrees", False: "does not agree", None: "open"}[self.agrees]


def findings(investigation: Investigation) -> list[Finding]:
    """Section 4.1's statements, as far as the parts that were run can speak to them."""
    return list(_findings(investigation))


def _findings(done: Investigation) -> Iterator[Finding]:
    yield _accuracy(done)
    yield from _dead(done)
    yield _even(done)
    if done.sweeps is not None:
        yield _best_rates(done)
        yield from _transfer(done)
        yield _trends(done)


def _accuracy(done: Investigation) -> Finding:
    name = done.setup.names[0]
    accuracy = done.studied[name].confusions["test"].accuracy
    return Finding(
        f"The baseline {name} network reaches a test accuracy of {TABLE_4_1['accuracy']:g} (table 4.1).",
        f"{accuracy:.3f}, and {done.studied[name].confusions['train'].accuracy:.3f} on the training images.",
        abs(accuracy - TABLE_4_1["accuracy"]) < ROUNDING,
    )


def _dead(done: Investigation) -> Iterator[Finding]:
    name = done.setup.names[0]
    first, *rest = done.studied[name].audit.layers.values()
    others = sum(layer.dead for layer in rest)
    which = ", ".join(f"unit {unit}" for unit in first.dead_units.tolist()) or "none"
    yield Finding(
        f"There are units that are dead for all images: {DEAD_PUBLISHED} of 20 in the first hidden layer "
        "(figure 4.4).",
        f"There are: {first.dead} of {first.units} in the first hidden layer ({which}), {others} behind it. "
        "Which and how many hangs on the initial weights, which the thesis does not give."
        if first.dead + others
        else "There are none.",
        first.dead + others > 0,
    )
    lives = done.studied[name].responses.lives()
    born, died = (sum(layer.counts()[kind] for layer in lives.values()) for kind in ("born dead", "died"))
    yield Finding(
        "Dead units are flat lines through training, for any input (figure 4.4 and appendix 2).",
        f"Of the {born + died} units dead at the end, {born} were dead at every record, before training too, "
        f"and {died} died on the way{_when(lives)}.",
        born > died if born + died else None,
    )


def _when(lives: dict[str, Lives]) -> str:
    steps = [life.deaths[-1] for layer in lives.values() for life in layer.lives if life.status == "died"]
    return f", between iterations {min(steps):,} and {max(steps):,}" if steps else ""


def _even(done: Investigation) -> Finding:
    consistency = {name: _consistency(done, name) for name in done.setup.names}
    name = done.setup.names[0]
    best = max(done.studied.values(), key=lambda one: one.confusions["test"].accuracy).name
    return Finding(
        f"The most successful network, {name}, has about even maxima in its layers (figure 4.3).",
        "Standard deviation of the hidden layers' maxima over their mean: "
        + "; ".join(f"{other} {value:.2f}" for other, value in consistency.items())
        + f". The highest test accuracy is that of {best}.",
        consistency[best] == min(consistency.values()),
    )


def _consistency(done: Investigation, name: str) -> float:
    *hidden, _ = done.studied[name].audit.layers.values()
    maxima = np.array([layer.max for layer in hidden])
    return float(maxima.std() / maxima.mean()) if maxima.mean() else math.nan


def _best_rates(done: Investigation) -> Finding:
    assert done.sweeps is not None
    name = done.setup.names[0]
    table = done.sweeps.of(name, LEARNING_RATE)
    rates, accuracy = table.column("value"), table.column("test_accuracy")
    statement = "The best learning rates lie towards zero, on a logarithmic scale (section 3.1)."
    if np.isnan(accuracy).all():
        return Finding(statement, "All networks of the sweep diverged.", None)
    best, alike = rates[accuracy == np.nanmax(accuracy)], rates[table.one_class()]
    return Finding(
        statement,
        f"The best test accuracy is at {best.min():.2g} to {best.max():.2g}. {len(alike)} of {len(rates)} "
        "networks give all images one class"
        + (f", those of rates from {alike.min():.2g} to {alike.max():.2g}." if len(alike) else "."),
        bool(best.max() < 0.1),
    )


def _transfer(done: Investigation) -> Iterator[Finding]:
    assert done.sweeps is not None
    _, target, both = done.setup.names
    for sweep, figure in (("hidden1", "figure 4.2"), (None, "section 4.1.3")):
        alone, moved = (_accuracies(done, name, sweep) for name in (target, both))
        pairs = list(zip(alone, moved, strict=True))
        better = sum(b > a for a, b in pairs)
        worse = sum(b < a for a, b in pairs)
        means = [_mean(alone), _mean(moved)]
        where = "the sweep of the first hidden layer" if sweep else "all sweeps"
        yield Finding(
            f"Transfer improves the {target} network's accuracy, in {where} ({figure}).",
            f"Mean test accuracy {means[0]:.3f} alone, {means[1]:.3f} transferred; better in {better}, worse "
            f"in {worse} of {len(pairs)} pairs.",
            None if any(map(math.isnan, means)) else means[1] > means[0] and better > worse,
        )


def _mean(values: Iterable[float]) -> float:
    """Of those that are known; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _accuracies(done: Investigation, name: str, sweep: str | None) -> list[float]:
    assert done.sweeps is not None
    table = done.sweeps.of(name) if sweep is None else done.sweeps.of(name, sweep)
    accuracies: list[float] = table.column("test_accuracy").tolist()
    return accuracies


def _trends(done: Investigation) -> Finding:
    assert done.sweeps is not None
    r = {}
    for name in done.setup.names:
        table = done.sweeps.of(name, "hidden2")
        line = best_fit(table.column("test_nnu"), table.column("test_accuracy"))
        r[name] = math.nan if line is None else line.r
    known = [value for value in r.values() if not math.isnan(value)]
    return Finding(
        "NNU against accuracy goes another way in each network, and is inconclusive (figure 4.5).",
        "Pearson's r over the sweep of the second hidden layer: "
        + "; ".join(f"{name} {text.real(value)}" for name, value in r.items())
        + ".",
        min(known) < 0 < max(known) or max(map(abs, known)) < WEAK if len(known) > 1 else None,
    )
