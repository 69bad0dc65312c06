"""A study as files: the tables beside the published ones, the figures, a page, and all numbers as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        **{f"{name}.png": drawing.png for name, (_, drawing) in plots.items()},
    }
    return pages.write_files(directory, files)


def all_sheets(study: Study) -> list[Sheet]:
    """Tables 4.2 to 4.5 beside the published values, the measures, the metrics and their relations."""
    outcomes = study.outcomes
    names = {outcome.name for outcome in outcomes}
    # One model is in both: the other experiment's tables would have little more than it.
    published_ones = [
        sheet
        for sheet in beside_published(outcomes).values()
        if names <= {record["name"] for record in sheet.records}
    ]
    sheets = [*published_ones, measures(outcomes)]
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
        "nnu": ("Figures 4.6 and 4.7", comparison.plot_nnu()),
        "spectrum": ("Figures 4.8 and 4.9", comparison.plot_spectrum()),
        "range": ("Figures 4.10 to 4.12", comparison.plot_range()),
    }
    for name, (number, figure) in figures.items():
        title, reading = report.PICTURES[name]
        yield _Plot(name, title, f"{reading} ({number} of the thesis.)", figure)
        if name == "nnu" and (rest := _without_outlier(study.outcomes)):
            yield _Plot(
                "nnu-without-outlier",
                "Utilization without the outlier",
                "The same bars without the model whose NNU hides how the others differ. (Figure 4.7b.)",
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
                "How far each layer's weights went from where the transfer began: relative L2 and cosine.",
                plot_weight_shift(weight_shift_of(d)),
            )


def weight_shift_of(done: Finished) -> WeightShift:
    """From the model before its training to the one after."""
    from ..transfer import weight_shift

    return weight_shift(done.trial.build(), done.model)


def _without_outlier(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """NNU of all but the highest, where that is over ten times the next; else nothing."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.nnu)
    if len(ordered) < 3 or ordered[-1].nnu <= 10 * ordered[-2].nnu:
        return {}
    return {outcome.label: outcome.nnu for outcome in outcomes if outcome is not ordered[-1]}


def _page(study: Study, sheets: list[Sheet], pictures: list[pages.Picture]) -> pages.Page:
    outcomes = study.outcomes
    best = max(outcomes, key=lambda outcome: outcome.accuracy)
    lowest = min(outcomes, key=lambda outcome: outcome.nnu)
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
        provenance=[
            *((text.printable(label), text.printable(value)) for label, value in study.facts),
            *(
                (f"{text.printable(done.outcome.label)}: {label}", value)
                for done in study.finished.values()
                for label, value in report.provenance(done.audit)
            ),
        ],
    )
