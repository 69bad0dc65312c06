"""An investigation as files: tables, figures, a page, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import pages, tables, text
from ... import report as audit_report
from ...compare import compare
from ...explain import Responses, plot_contact_sheet, plot_lives, plot_responses
from ...plots.freezing import plot_freezing
from ...plots.sweeps import plot_networks, plot_nnu_accuracy, plot_sweep
from ...sweeps.records import sweep_title
from .running import Investigation
from .setup import TITLE
from .sheets import all_sheets, short_sheets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...sweeps.table import SweepTable
    from .studied import Studied

__all__ = ["json_text", "save", "short_sheets"]


class _Plot(NamedTuple):
    name: str
    title: str
    reading: str
    figure: Figure
    photographs: bool = False


def save(done: Investigation, directory: Path, *, images: bool = True) -> list[Path]:
    """Leave ``report.html``, ``results.json``, ``tables.md``, ``sweeps.csv`` and the figures.

    Args:
        images: draw contact sheets, which show training images. Without them, the report can be passed on
            where the images may not.
    """
    plots = [(plot, pages.draw(plot.figure, photographs=plot.photographs)) for plot in _plots(done, images)]
    pictures = [pages.picture(plot.title, plot.reading, drawing) for plot, drawing in plots]
    sheets = all_sheets(done)
    files: dict[str, bytes | str] = {
        "results.json": json_text(done, [f"{plot.name}{drawing.suffix}" for plot, drawing in plots]),
        "tables.md": "\n".join(sheet.markdown() for sheet in sheets),
        "report.html": pages.render(_page(done, pictures)),
        **{f"{plot.name}{drawing.suffix}": drawing.content for plot, drawing in plots},
    }
    earlier = _files_of(directory)
    paths = pages.write_files(directory, files)
    for name, table in _tables(done).items():
        paths.append(directory / f"{name}.csv")
        table.to_csv(paths[-1])
    for path in earlier - set(paths):  # of a run that did more: they would pass for this one's
        path.unlink(missing_ok=True)
    return paths


def _tables(done: Investigation) -> dict[str, SweepTable]:
    known = {"sweeps": done.sweeps, "frozen-sweeps": done.frozen_sweeps}
    return {name: table for name, table in known.items() if table is not None}


def _files_of(directory: Path) -> set[Path]:
    """Figures and tables of the report that the folder has."""
    try:
        body = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        names = [Path(name).name for name in body["files"] if body["title"] == TITLE]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {directory / name for name in names if Path(name).suffix in (".png", ".jpg", ".csv")}


def json_text(done: Investigation, figures: Sequence[str] = ()) -> str:
    """Everything as JSON: options, networks, tables, and a record of each network of the sweeps.

    Args:
        figures: names of the files beside it.
    """
    body: dict[str, Any] = {
        "title": TITLE,
        "files": [*figures, *(f"{name}.csv" for name in _tables(done))],
        "options": dict(done.setup.facts()),
        "networks": [
            {
                "name": one.name,
                "widths": one.network.widths,
                "iterations": one.descent.iterations,
                "costs": one.descent.costs,
                "diverged": one.descent.diverged,
                **{part: confusion.to_dict() for part, confusion in one.confusions.items()},
                "layers": [tables.layer_row(layer) for layer in one.audit.layers.values()],
            }
            for one in done.studied.values()
        ],
        "tables": [sheet.to_dict() for sheet in all_sheets(done)],
        "sweeps": None if done.sweeps is None else done.sweeps.records,
        "freezing": done.freezing,
        "frozen_sweeps": None if done.frozen_sweeps is None else done.frozen_sweeps.records,
    }
    out: str = tables.json_text(tables.json_ready(body))
    return out


def _plots(done: Investigation, images: bool) -> Iterator[_Plot]:
    comparison = compare({name: one.audit for name, one in done.studied.items()})
    for name, figure in (("range", comparison.plot_range()), ("spectrum", comparison.plot_spectrum(bins=30))):
        yield _Plot(name, *audit_report.PICTURES[name], figure)
    yield from _sweep_plots(done)
    for one in done.studied.values():
        yield from _unit_plots(one)
        if images:
            yield from _contact_sheets(one)


def _sweep_plots(done: Investigation) -> Iterator[_Plot]:
    if done.sweeps is not None:
        yield _Plot(
            "sweeps-accuracy",
            "Accuracy over the sweeps",
            "A column per network, a row per sweep. (As figures 4.2 and 7 of the thesis.)",
            plot_networks(done.sweeps),
        )
        yield _Plot(
            "sweeps-nnu",
            "NNU over the sweeps",
            "The same for NNU, which the thesis does not draw.",
            plot_networks(done.sweeps, "test_nnu"),
        )
        yield _Plot(
            "sweeps-nnu-accuracy",
            "NNU against accuracy",
            "Each point is a network. (As figures 4.5 and 8 of the thesis.)",
            plot_nnu_accuracy(done.sweeps),
        )
    if done.freezing is not None:
        yield _Plot(
            "freezing",
            "Every subset of frozen layers",
            f"The network {text.printable(done.setup.names[2])}, once for each choice of layers that stay as "
            "they began.",
            plot_freezing(done.freezing),
        )
    if done.sweeps is not None:
        for network in done.sweeps.networks:
            for sweep in done.sweeps.sweeps:
                yield _Plot(
                    f"sweep-{text.file_name(network)}-{text.file_name(sweep)}",
                    f"Sweep of {text.printable(network)}: {sweep_title(sweep)}",
                    "The ten metrics and NNU over the swept value, and NNU against accuracy: one of the "
                    "pages that stand for the thesis's 80 graphs.",
                    plot_sweep(done.sweeps.of(network, sweep)),
                )


def _unit_plots(one: Studied) -> Iterator[_Plot]:
    plain, shown = text.file_name(one.name), text.printable(one.name)
    first = next(iter(one.top.layers))
    chosen = _varied(one)
    yield _Plot(
        f"responses-{plain}-{first}",
        f"Through training: {shown}, {first}",
        "What each unit of the first hidden layer answers to three test images. Flat lines are marked. (As "
        "figures 4.4 and 6 of the thesis.)",
        plot_responses(chosen, first),
    )
    yield _Plot(
        f"lives-{plain}",
        f"Lives of units: {shown}",
        "When each unit was dead, that is, gave 0 for all images.",
        plot_lives(one.responses.lives()),
    )


def _contact_sheets(one: Studied) -> Iterator[_Plot]:
    plain, shown = text.file_name(one.name), text.printable(one.name)
    for name, layer in one.top.layers.items():
        yield _Plot(
            f"strongest-{plain}-{name}",
            f"The training images that activate units most: {shown}, {name}",
            "The strongest first. (As figures 4.3 and 5 of the thesis, which show one image a unit.)",
            plot_contact_sheet(layer, one.pair.train),
            photographs=True,
        )


def _varied(one: Studied) -> Responses:
    """The answers to three of the inputs: the first two of the class sought, and the first of the rest."""
    labels, all_of_them = one.pair.test.labels, one.responses
    picked = [*np.flatnonzero(labels == 1)[:2].tolist(), *np.flatnonzero(labels == 0)[:1].tolist()]
    return all_of_them.take([len(one.pair.train) + index for index in picked])


def _page(done: Investigation, pictures: list[pages.Picture]) -> pages.Page:
    source, target, both = (done.studied[name] for name in done.setup.names)
    numbers = [
        pages.Number(
            f"Test accuracy: {text.printable(one.name)}",
            text.percent(one.confusions["test"].accuracy),
            f"{text.percent(one.confusions['train'].accuracy)} on the training images; NNU "
            f"{text.percent(one.audit.nnu)}.",
        )
        for one in (source, target, both)
    ]
    trained = sum(len(part) for part in (done.sweeps, done.freezing, done.frozen_sweeps) if part is not None)
    if trained:
        numbers.append(
            pages.Number("Networks trained", text.count(trained + 3), "Three of them one by one in NumPy.")
        )
    return pages.Page(
        title=TITLE,
        subtitle=", ".join(text.printable(name) for name in done.setup.names),
        warnings=(),
        numbers=numbers,
        pictures=pictures,
        tables=[sheet.page() for sheet in all_sheets(done)],
        provenance=[
            *((text.printable(label), text.printable(value)) for label, value in done.setup.facts()),
            *audit_report.provenance(source.audit),
        ],
    )
