"""A study as files: the tables beside the published ones, the figures, a page, and all numbers as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import pages, report, tables, text
from .. import plots as draw_plots
from .tables import Outcome, beside_published, measures, metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..sheets import Sheet
    from ..transfer import WeightShift
    from .study import Study
    from .trial import Finished


class _Plot(NamedTuple):
    name: str
    title: str
    reading: str
    figure: Figure


def save_study(study: Study, directory: Path) -> list[Path]:
    """Leave ``report.html``, ``results.json``, ``tables.md`` and the figures. All files or none."""
    plots = {plot.name: (plot, pages.draw(plot.figure)) for plot in _plots(study)}
    pictures = [pages.picture(plot.title, plot.reading, drawing) for plot, drawing in plots.values()]
    sheets = all_sheets(study)
    files: dict[str, bytes | str] = {
        "results.json": json_text(study),
        "tables.md": "\n".join(sheet.markdown() for sheet in sheets),
        "report.html": pages.render(_page(study, sheets, pictures)),
        **{f"{name}{drawing.suffix}": drawing.content for name, (_, drawing) in plots.items()},
    }
    return pages.write_files(directory, files)


def all_sheets(study: Study) -> list[Sheet]:
    """Tables 4.2 to 4.5 beside the published values, the measures, the metrics and their relations."""
    outcomes = study.outcomes
    names = {outcome.name for outcome in outcomes}
    published = list(beside_published(outcomes).values())
    measured = [names & {record["name"] for record in sheet.records} for sheet in published]
    # One model is in both experiments: the tables of one of which only it was run say nothing new.
    telling = [
        sheet
        for sheet, its in zip(published, measured, strict=True)
        if not any(its < others for others in measured)
    ]
    sheets = [*telling, measures(outcomes)]
    if all(outcome.confusion is not None for outcome in outcomes):
        sheets.append(metrics(outcomes))
    if len(outcomes) > 1:
        sheets.append(study.relations().sheet())
    return sheets


def json_text(study: Study) -> str:
    """Everything as JSON: options, outcomes, histories, tables, relations."""
    body: dict[str, Any] = {
        "title": study.title,
        "options": dict(study.facts),
        "models": [
            {
                **done.outcome.to_dict(),
                "label": done.outcome.label,
                "settings": asdict(done.trial.settings),
                "images": dict(zip(("train", "validation", "test"), done.images, strict=True)),
                "layers": [tables.layer_row(layer) for layer in done.audit.layers.values()],
                "history": list(map(dict, done.history.rows)),
                "stopped": done.history.stopped,
                "versions": done.audit.versions,
            }
            for done in study.finished.values()
        ],
        "tables": [sheet.to_dict() for sheet in all_sheets(study)],
        "warnings": study.comparison.warnings,
    }
    out: str = tables.json_text(tables.json_ready(body))
    return out


def _plots(study: Study) -> Iterator[_Plot]:
    """Figures 4.6 to 4.12 of the thesis for these models, and what it lacks: curves, ROC, weight shift."""
    from ..assessment import plot_roc, roc
    from ..training import plot_history
    from ..transfer import plot_weight_shift

    comparison, done = study.comparison, {d.outcome.label: d for d in study.finished.values()}
    figures = {
        "nnu": ("figures 4.6 and 4.7", comparison.plot_nnu()),
        "spectrum": ("figures 4.8 and 4.9", comparison.plot_spectrum()),
        "range": ("figures 4.10 to 4.12", comparison.plot_range()),
    }
    for name, (number, figure) in figures.items():
        title, reading = report.PICTURES[name]
        yield _Plot(name, title, f"{reading} (As {number} of the thesis.)", figure)
        if name == "nnu" and (rest := _without_outlier(study.outcomes)):
            yield _Plot(
                "nnu-without-outlier",
                "Utilization without the outlier",
                "The same bars without the model whose NNU hides how the others differ. (As figure 4.7b.)",
                draw_plots.plot_nnu(rest, comparison.accuracy),
            )
    curves = {name: d.history for name, d in done.items()}
    yield _Plot(
        "training",
        "Training",
        "Loss and accuracy of each epoch, on the training and the validation set.",
        plot_history(curves),
    )
    if all(d.scores.ndim == 1 for d in done.values()):
        yield _Plot(
            "roc",
            "Receiver operating characteristic",
            "True against false positives on the test set, over all thresholds.",
            plot_roc({name: roc(d.labels, d.scores) for name, d in done.items()}),
        )
    if len(done) > 1:
        yield _Plot(
            "relations",
            "Do the measures follow the metrics?",
            "Rank correlations over these models, with 95 % intervals. Few models leave wide intervals.",
            study.relations().plot(),
        )
    for name, d in done.items():
        if d.trial.transferred:
            yield _Plot(
                f"weights-{d.trial.name}",
                f"Weight shift: {text.printable(name)}",
                "How far each layer's weights went from where training began: L2, over their norm there.",
                plot_weight_shift(weight_shift_of(d)),
            )


def weight_shift_of(done: Finished) -> WeightShift:
    """From the model before its training to the one after."""
    from ..transfer import weight_shift

    return weight_shift(done.trial.build(), done.model)


def _without_outlier(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """NNU of all but the highest, where that is over ten times the next; else nothing."""
    ordered = sorted((o for o in outcomes if not math.isnan(o.nnu)), key=lambda outcome: outcome.nnu)
    if len(ordered) < 3 or ordered[-1].nnu <= 10 * ordered[-2].nnu:
        return {}
    return {outcome.label: outcome.nnu for outcome in outcomes if outcome is not ordered[-1]}


def _page(study: Study, sheets: list[Sheet], pictures: list[pages.Picture]) -> pages.Page:
    outcomes = study.outcomes
    best = max(outcomes, key=lambda outcome: _last_if_nan(outcome.accuracy))
    lowest = min(outcomes, key=lambda outcome: -_last_if_nan(-outcome.nnu))
    numbers = [
        pages.Number(
            "Highest accuracy",
            text.percent(best.accuracy),
            f"{text.printable(best.label)}, on {text.plural(best.examples, 'test image')}.",
        ),
        pages.Number("Lowest NNU", text.percent(lowest.nnu), f"{text.printable(lowest.label)}."),
    ]
    return pages.Page(
        title=study.title,
        subtitle=", ".join(text.printable(outcome.label) for outcome in outcomes),
        warnings=study.comparison.warnings,
        numbers=numbers,
        pictures=pictures,
        tables=[sheet.page() for sheet in sheets],
        provenance=list(_provenance(study)),
    )


def _last_if_nan(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _provenance(study: Study) -> Iterator[tuple[str, str]]:
    """What the user set, what all models have in common, and how each of them came about."""
    for label, value in study.facts:
        yield text.printable(label), text.printable(value)
    facts = {done.outcome.label: dict(_trial_facts(done)) for done in study.finished.values()}
    first, *rest = facts.values()
    common = {item for item in first.items() if all(item in other.items() for other in rest)}
    yield from (item for item in first.items() if item in common)
    for name, values in facts.items():
        yield from (
            (f"{text.printable(name)}: {label}", value)
            for label, value in values.items()
            if (label, value) not in common
        )


def _trial_facts(done: Finished) -> Iterator[tuple[str, str]]:
    settings, (train, validation, test) = done.trial.settings, done.images
    yield "Images", f"{train:,} to train, {validation:,} to validate, {test:,} to test"
    yield (
        "Training",
        f"{settings.optimizer}, learning rate {settings.learning_rate:g}, batches of {settings.batch_size}, "
        f"{text.plural(len(done.history.rows), 'epoch')}, "
        + ("with augmentation" if done.trial.augment is not None else "without augmentation"),
    )
    yield from report.provenance(done.audit)
