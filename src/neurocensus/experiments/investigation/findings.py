"""What the thesis says of its investigation phase, beside what was found.

Source: J. Smith, *Qualitative Assessment Metrics for Transfer Learning*, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from ... import text
from ...result import Audit
from ...sweeps.lines import best_fit
from ...sweeps.records import LEARNING_RATE
from ...sweeps.table import SweepTable
from ..published import TABLE_4_1
from .running import Investigation
from .studied import Studied

ROUNDING: Final = 0.0005
"""Of the published values."""
WEAK: Final = 0.3
"""A correlation below it says little."""
DEAD_PUBLISHED: Final = 5
"""Dead units among the 20 of the first hidden layer: neurons 4, 7, 12, 14 and 19 (figure 4.4)."""


Verdict: TypeAlias = Literal["agrees", "in part", "does not agree", "open"]


@dataclass(frozen=True)
class Finding:
    """One of the thesis's statements and what came out here."""

    statement: str
    found: str
    verdict: Verdict
    """"open": what was found speaks neither for it nor against."""


def findings(investigation: Investigation) -> list[Finding]:
    """Section 4.1's statements, as far as the parts that were run can speak to them."""
    return list(_findings(investigation))


def _findings(done: Investigation) -> Iterator[Finding]:
    yield _accuracy(done)
    yield _dead(done)
    yield _flat(done)
    yield _even(done)
    if done.sweeps is not None:
        yield _best_rates(done.sweeps.of(done.setup.names[0], LEARNING_RATE))
        for sweep in ("hidden1", None):
            yield _transfer(done, done.sweeps, sweep)
        yield _trends(done, done.sweeps)


def _accuracy(done: Investigation) -> Finding:
    name, published = done.setup.names[0], TABLE_4_1.metrics["accuracy"]
    found = done.studied[name].confusions
    return Finding(
        f"The baseline cat network reaches a test accuracy of {published:g} (table 4.1).",
        f"{name}: {found['test'].accuracy:.3f}, and {found['train'].accuracy:.3f} on the training images.",
        "agrees" if abs(found["test"].accuracy - published) < ROUNDING else "does not agree",
    )


def _dead(done: Investigation) -> Finding:
    one = done.studied[done.setup.names[0]]
    first = next(iter(one.whole.layers.values())).dead
    return Finding(
        f"Units of the first hidden layer are dead for the entire data set: {DEAD_PUBLISHED} of 20 (4.1.5, "
        "figure 4.4).",
        f"{one.name}: {_units(one.whole)} for all {one.whole.examples} images; {_units(one.audit)} for the "
        f"{one.audit.examples} test images alone. Which and how many hangs on the initial weights, which the "
        "thesis does not give.",
        "agrees" if first else "in part" if one.whole.dead else "does not agree",
    )


def _units(audit: Audit) -> str:
    """Dead units layer by layer."""
    dead = [
        f"{layer.dead} of {layer.units} in {name} ({', '.join(map(str, layer.dead_units))})"
        for name, layer in audit.layers.items()
        if layer.dead
    ]
    return ", ".join(dead) or "none"


def _flat(done: Investigation) -> Finding:
    one = done.studied[done.setup.names[0]]
    lives = [life for layer in one.responses.lives().values() for life in layer.lives]
    born = sum(life.status == "born dead" for life in lives)
    deaths = [life.deaths[-1] for life in lives if life.status == "died"]
    when = f", between iterations {min(deaths):,} and {max(deaths):,}" if deaths else ""
    return Finding(
        "Dead units are flat lines all through training, for any input (figure 4.4 and appendix 2).",
        f"{one.name}: of {text.plural(born + len(deaths), 'unit')} dead at the end for all images, {born} "
        f"{'was' if born == 1 else 'were'} so at every record, before training too, and {len(deaths)} died "
        f"on the way{when}.",
        "open"
        if not born + len(deaths)
        else "agrees"
        if not deaths
        else "in part"
        if born
        else "does not agree",
    )


def _even(done: Investigation) -> Finding:
    consistency = {one.name: _consistency(one) for one in done.studied.values()}
    mine, *others = consistency.values()
    known = not any(map(math.isnan, consistency.values()))
    return Finding(
        "The maxima of its layers are about even in the baseline cat network, the most successful one "
        "(figure 4.3).",
        "Standard deviation of the hidden layers' maxima over their mean: "
        + "; ".join(f"{name} {text.real(value)}" for name, value in consistency.items())
        + ".",
        "open" if not known else "agrees" if mine < min(others) else "does not agree",
    )


def _consistency(one: Studied) -> float:
    *hidden, _ = one.audit.layers.values()
    maxima = np.array([layer.max for layer in hidden])
    return float(maxima.std() / maxima.mean()) if maxima.mean() else math.nan


def _best_rates(table: SweepTable) -> Finding:
    statement = "The best learning rates lie towards zero, on a logarithmic scale (section 3.1)."
    rates, accuracy = table.column("value"), table.column("test_accuracy")
    alike = table.one_class()
    if np.isnan(accuracy).all() or alike[accuracy == np.nanmax(accuracy)].all():
        return Finding(statement, "No network of the sweep tells the classes apart.", "open")
    best = rates[accuracy == np.nanmax(accuracy)]
    named = " and ".join(f"{rate:.2g}" for rate in best[:2]) if len(best) < 3 else f"{len(best)} rates, the "
    named += f"highest {best.max():.2g}" if len(best) > 2 else ""
    return Finding(
        statement,
        f"{table.networks[0]}: the best test accuracy is at {named}. {alike.sum()} of {len(rates)} networks "
        "give all images one class" + (f", the lowest at {rates[alike].min():.2g}." if alike.any() else "."),
        "agrees" if best.max() < 0.1 else "does not agree",
    )


def _transfer(done: Investigation, sweeps: SweepTable, sweep: str | None) -> Finding:
    _, target, both = done.setup.names
    alone, moved = (sweeps.of(name, sweep).column("test_accuracy") for name in (target, both))
    known = ~np.isnan(alone) & ~np.isnan(moved)
    alone, moved = alone[known], moved[known]
    where = "the sweep of the first hidden layer" if sweep else "all sweeps"
    statement = f"Transfer improves the dog network's accuracy, in {where} (4.1.3, figure 4.2)."
    if not len(alone):
        return Finding(statement, "There is no pair of networks that did not diverge.", "open")
    better, worse = int((moved > alone).sum()), int((moved < alone).sum())
    gain = float(moved.mean() - alone.mean())
    verdict: Verdict = "open"
    if gain > 0 and better > worse:
        verdict = "agrees"
    elif gain <= 0 and better <= worse:
        verdict = "does not agree"
    return Finding(
        statement,
        f"Mean test accuracy {alone.mean():.3f} of {target}, {moved.mean():.3f} of {both}; better in "
        f"{better}, worse in {worse} of {len(alone)} pairs.",
        verdict,
    )


def _trends(done: Investigation, sweeps: SweepTable) -> Finding:
    r = {}
    for name in done.setup.names:
        table = sweeps.of(name, "hidden2")
        line = best_fit(table.column("test_nnu"), table.column("test_accuracy"))
        r[name] = math.nan if line is None else line.r
    known = [value for value in r.values() if not math.isnan(value)]
    verdict: Verdict = "open"
    if len(known) == len(r):
        weak = max(map(abs, known)) < WEAK
        verdict = "agrees" if weak or min(known) < -WEAK < WEAK < max(known) else "does not agree"
    return Finding(
        "NNU against accuracy: trends differ between the three networks, and are inconclusive (figure 4.5).",
        "Pearson's r over the sweep of the second hidden layer: "
        + "; ".join(f"{name} {text.real(value)}" for name, value in r.items())
        + f". Below {WEAK:g} either way it says nothing.",
        verdict,
    )
