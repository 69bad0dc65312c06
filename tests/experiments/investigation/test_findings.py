"""What is said beside the thesis's statements, and when it agrees."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from neurocensus import text
from neurocensus.experiments.investigation import Investigation
from neurocensus.experiments.investigation.findings import Finding, _even, findings
from neurocensus.experiments.investigation.sheets import all_sheets
from neurocensus.sweeps import SweepTable

NAMES = ("accuracy", "dead", "flat", "even", "rates", "transfer, hidden1", "transfer", "trends")


def named(done: Investigation) -> dict[str, Finding]:
    return dict(zip(NAMES, findings(done), strict=False))


def with_accuracies(done: Investigation, **accuracies: list[float | None]) -> Investigation:
    """The same with these test accuracies of the networks, over and over; None: diverged."""
    assert done.sweeps is not None
    counts: dict[str, int] = {}
    records = []
    for record in done.sweeps.records:
        name = record["network"].replace(" ", "_")
        changed: dict[str, Any] = dict(record)
        if name in accuracies:
            values = accuracies[name]
            value = values[counts.get(name, 0) % len(values)]
            counts[name] = counts.get(name, 0) + 1
            changed["test_accuracy"] = math.nan if value is None else value
            changed |= {"test_true_positive_rate": 0.5, "test_false_positive_rate": 0.4}
        records.append(changed)
    return dataclasses.replace(done, sweeps=SweepTable(records))


def test_all_statements_have_a_verdict(done: Investigation) -> None:
    found = findings(done)
    assert len(found) == len(NAMES)
    assert {one.verdict for one in found} <= {"agrees", "in part", "does not agree", "open"}
    assert len(findings(dataclasses.replace(done, sweeps=None))) == 4
    notes = {sheet.name: sheet for sheet in all_sheets(done)}["findings"].notes
    assert "60 iterations, scale 0.04: too little to judge it by" in notes[0]


def test_accuracy_and_dead_units(done: Investigation) -> None:
    said, cat = named(done), done.studied["cat"]
    accuracy = cat.confusions["test"].accuracy
    assert said["accuracy"].found.startswith(f"cat: {accuracy:.3f}")
    assert (said["accuracy"].verdict == "agrees") == (abs(accuracy - 0.8) < 0.0005)
    first = cat.whole.layers["hidden1"].dead
    assert (said["dead"].verdict == "agrees") == (first > 0)
    assert f"{cat.audit.layers['hidden2'].dead} of 7 in hidden2" in said["dead"].found
    # Dead on the test images alone is not dead for the entire data set.
    assert cat.whole.dead <= cat.audit.dead


@pytest.mark.parametrize(
    ("dog", "moved", "verdict", "pairs"),
    [
        ([0.5], [0.6], "agrees", 8),
        ([0.6], [0.5], "does not agree", 8),
        ([0.5], [0.5], "does not agree", 8),
        ([0.9, 0.5], [0.91, None], "agrees", 4),
        ([0.6, 0.5], [None, 0.54], "agrees", 4),
        ([0.5, 0.5, 0.5, 0.9], [0.6, 0.6, 0.6, 0.1], "open", 8),  # better in more, worse on average
        ([None], [0.6], "open", 0),
    ],
)
def test_transfer_is_judged_by_pairs(
    done: Investigation, dog: list[float | None], moved: list[float | None], verdict: str, pairs: int
) -> None:
    said = named(with_accuracies(done, dog=dog, cat_to_dog=moved))["transfer"]
    assert said.verdict == verdict
    assert f"of {pairs} pairs" in said.found or (pairs == 0 and "no pair" in said.found)


def test_evenness_is_that_of_the_network_that_is_named(done: Investigation) -> None:
    said, spreads = named(done)["even"], []
    for name, one in done.studied.items():
        maxima = np.array([layer.max for layer in one.audit.layers.values()])[:-1]
        spreads.append(maxima.std() / maxima.mean())
        assert f"{name} {text.real(spreads[-1])}" in said.found
    assert (said.verdict == "agrees") == (spreads[0] < min(spreads[1:]))
    # The other way round, whichever it was.
    studied = dict(done.studied)
    worst = max(studied, key=lambda name: spreads[list(studied).index(name)])
    best = min(studied, key=lambda name: spreads[list(studied).index(name)])
    for chosen, verdict in ((best, "agrees"), (worst, "does not agree")):
        order = [chosen, *(name for name in studied if name != chosen)]
        turned = dataclasses.replace(done, studied={name: studied[name] for name in order})
        assert _even(turned).verdict == verdict


@pytest.mark.parametrize(
    ("accuracies", "verdict", "words"),
    [
        ([0.9, 0.5], "agrees", "is at 0.0001. "),
        ([0.5, 0.9], "does not agree", "is at 0.83. "),
        ([0.9, 0.9], "does not agree", "is at 0.0001 and 0.83. "),
        ([None], "open", "No network"),
    ],
)
def test_the_best_rates(
    done: Investigation, accuracies: list[float | None], verdict: str, words: str
) -> None:
    said = named(with_accuracies(done, cat=accuracies))["rates"]
    assert (said.verdict, words in said.found) == (verdict, True)
