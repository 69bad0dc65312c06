"""Several trials side by side: run one after the other, compared, written into one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..assessment.confusion import METRICS
from ..compare import Comparison, compare
from .tables import Outcome
from .trial import Finished, Trial, run_trial

if TYPE_CHECKING:
    from ..assessment import Relations

MEASURES = ("nnu", "skewness", "consistency")


@dataclass(frozen=True)
class Study:
    """Models trained and audited on the same data, under their names."""

    title: str
    finished: Mapping[str, Finished]
    facts: Sequence[tuple[str, str]]
    """What the user set, as labels and values, for the report."""

    @property
    def comparison(self) -> Comparison:
        """The audits side by side, with accuracies on the test set."""
        return compare({done.outcome.label: done.audit for done in self.finished.values()})

    @property
    def outcomes(self) -> list[Outcome]:
        """What came out, in the order of the models."""
        return [done.outcome for done in self.finished.values()]

    def relations(self) -> Relations:
        """Rank correlations of the three measures with the ten metrics, or with accuracy alone."""
        from ..assessment import relations

        outcomes = self.outcomes
        measures = {name: [getattr(item, name) for item in outcomes] for name in MEASURES}
        known = [item.confusion.metrics() for item in outcomes if item.confusion is not None]
        if len(known) < len(outcomes):
            return relations(measures, {"accuracy": [item.accuracy for item in outcomes]})
        return relations(measures, {name: [row[name] for row in known] for name in METRICS})


def run(
    title: str,
    trials: Sequence[Trial],
    folder: Path,
    *,
    facts: Sequence[tuple[str, str]] = (),
    audit_every: int | None = None,
    progress: bool = True,
    on_start: Callable[[Trial], None] | None = None,
) -> Study:
    """Run the trials in their order, each in its folder; finished ones are taken as they are.

    Args:
        folder: gets a folder for each trial, under its name.
        facts, audit_every, progress: see `Study` and `run_trial`.
        on_start: called before each trial.

    Raises:
        ValueError: no trials; two of one name; what `run_trial` raises.
    """
    names = [trial.name for trial in trials]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"trials: expected at least one, each under its own name, got {', '.join(names) or 'none'}"
        )
    finished = {}
    for trial in trials:
        if on_start is not None:
            on_start(trial)
        finished[trial.name] = run_trial(
            trial, folder / trial.name, audit_every=audit_every, progress=progress
        )
    return Study(title, finished, facts)
