"""The page of an audit or of a comparison: numbers, how to read them, pictures, tables, provenance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from . import metrics, pages, storage, tables, text
from .compare import HEADINGS, Comparison
from .pages import Drawing, Number, Page, Picture, Table
from .result import Audit, LayerAudit


def write_report(subject: Audit | Comparison, path: str | os.PathLike[str]) -> None:
    """Write the page of an audit or a comparison, atomically."""
    storage.write_text(path, render(subject))


def save_all(subject: Audit | Comparison, directory: str | os.PathLike[str]) -> list[Path]:
    """Leave everything in a folder, made where it is missing, and return the paths. All files or none.

    An audit leaves ``audit.safetensors``, ``report.html``, ``spectrum.png``, ``range.png`` and ``dead.png``;
    a comparison ``comparison.json``, ``report.html``, ``nnu.png``, ``spectrum.png`` and ``range.png``.
    """
    plots = drawings(subject)
    files: dict[str, bytes | str] = {}
    if isinstance(subject, Audit):
        files["audit.safetensors"] = storage.dump(subject)
    else:
        files["comparison.json"] = tables.json_text(subject.to_dict())
    files["report.html"] = render(subject, plots)
    files.update((f"{name}{drawing.suffix}", drawing.content) for name, drawing in plots.items())
    return pages.write_files(directory, files)


def render(subject: Audit | Comparison, plots: Mapping[str, Drawing] | None = None) -> str:
    """The page as text."""
    drawn = drawings(subject) if plots is None else plots
    page = _audit_page(subject, drawn) if isinstance(subject, Audit) else _comparison_page(subject, drawn)
    return pages.render(page)


def drawings(subject: Audit | Comparison) -> dict[str, Drawing]:
    """Each plot of an audit or a comparison, by name."""
    if isinstance(subject, Audit):
        figures = {
            "spectrum": subject.plot_spectrum(),
            "range": subject.plot_range(),
            "dead": subject.plot_dead(),
        }
    else:
        figures = {
            "nnu": subject.plot_nnu(),
            "spectrum": subject.plot_spectrum(),
            "range": subject.plot_range(),
        }
    return {name: pages.draw(figure) for name, figure in figures.items()}


PICTURES = {
    "nnu": ("Utilization", "NNU per model: the share of units that are dead. Colour is accuracy."),
    "spectrum": (
        "Activation spectrum",
        "How many units reach which maximum, coloured from first layer to last. The hatched bar counts dead "
        "units, which are in no other bar. In the thesis better models had a small one, and a long tail to "
        "the right.",
    ),
    "range": (
        "Activation range",
        "The largest activation of each layer; the dashed line is their mean. In the thesis better models "
        "had more even bars.",
    ),
    "dead": ("Dead units", "The share of each layer's units that gave 0 for every example."),
}


def pictures(plots: Mapping[str, Drawing]) -> list[Picture]:
    """The plots of `drawings` with what to say of each."""
    return [pages.picture(*PICTURES[name], drawing) for name, drawing in plots.items()]


def _audit_page(audit: Audit, plots: Mapping[str, Drawing]) -> Page:
    spectrum, reach = audit.spectrum(bins=1), audit.range()
    bound = metrics.zero_event_bound(audit.examples)
    near = sum(len(layer.near_dead_units()) for layer in audit.layers.values())
    numbers = [
        Number(
            "NNU",
            text.percent(audit.nnu),
            f"{text.count(audit.dead)} of {text.plural(audit.units, 'unit')} gave 0 for every example. "
            "Lower is better.",
        ),
        Number("Utilization", text.percent(audit.utilization), "The rest: units that fired at least once."),
        Number(
            "NNU as published",
            text.percent(audit.nnu_published),
            "Dead units over units x examples. It falls as examples grow, so compare it at equal numbers.",
        ),
        Number(
            "Near-dead units",
            text.count(near),
            "Silent on more than 99 % of the examples; dead units are among them.",
        ),
        Number(
            "Skewness of the spectrum",
            text.real(spectrum.skewness),
            "Positive: a long tail to the right, which better models had in the thesis. "
            f"Without the dead units {text.real(spectrum.skewness_living)}.",
        ),
        Number(
            "Consistency of the range",
            text.real(reach.consistency),
            "Standard deviation of the layers' maxima over their mean. 0 is perfectly even.",
        ),
        Number(
            "Examples",
            text.count(audit.examples),
            f"A unit silent on all of them may still fire on others: with 95 % confidence on at most "
            f"{text.percent(bound)} of examples like these.",
        ),
        Number("Values read", text.count(audit.values), "Single activations counted, each of them once."),
    ]
    return Page(
        title=text.printable(audit.model),
        subtitle=f"A census of {text.plural(len(audit.layers), 'layer')} and "
        f"{text.plural(audit.units, 'unit')} over {text.plural(audit.examples, 'example')}",
        warnings=audit.warnings,
        numbers=numbers,
        pictures=pictures(plots),
        tables=[_layer_table(audit)],
        provenance=provenance(audit),
    )


_LAYER_HEADINGS = (
    *("layer", "kind", "units", "dead", "NNU", "near-dead", "dormant", "silent", "zeros", "max", "skewness"),
    *("NaN", "inf", "examples", "calls", "dtype", "mode", "units on"),
)


def _layer_table(audit: Audit) -> Table:
    return Table(
        title="Layers",
        reading="Silent: mean share of examples on which a unit gives only zeros. Zeros: mean share of zero "
        "values (APoZ). Near-dead: silent on more than 99 % of examples. Dormant: mean absolute value at "
        "most 2.5 % of the layer's average.",
        headings=_LAYER_HEADINGS,
        rows=[_layer_cells(layer) for layer in audit.layers.values()],
        left=2,
    )


def _layer_cells(layer: LayerAudit) -> tuple[str, ...]:
    row = tables.layer_row(layer)
    seen = layer.values > 0
    return (
        text.printable(layer.name),
        text.printable(layer.kind),
        text.count(layer.units),
        text.count(row["dead"]) if seen else "unseen",
        text.percent(row["nnu"]) if seen else text.NOT_AVAILABLE,
        text.count(row["near_dead"]),
        text.count(row["dormant"]),
        text.percent(row["silent_fraction"]),
        text.percent(row["zero_fraction"]),
        text.real(row["max"]),
        text.real(row["skewness"]),
        text.count(row["nan"]),
        text.count(row["inf"]),
        text.count(layer.examples),
        text.count(layer.calls),
        layer.dtype,
        ("train" if layer.training else "eval") + (", masked" if layer.masked else ""),
        text.printable(layer.unit_rule),
    )


def _comparison_page(comparison: Comparison, plots: Mapping[str, Drawing]) -> Page:
    rows = comparison.rows()
    best = min(rows, key=lambda row: (row["nnu"] != row["nnu"], row["nnu"]))
    numbers = [
        Number("Models", text.count(len(rows)), "One row each in the table, one panel each in the pictures."),
        Number("Lowest NNU", text.percent(best["nnu"]), f"{text.printable(best['model'])}. Lower is better."),
    ]
    models = list(comparison.audits)
    return Page(
        title="Comparison of " + text.plural(len(rows), "model"),
        subtitle=", ".join(map(text.printable, models)),
        warnings=comparison.warnings,
        numbers=numbers,
        pictures=pictures(plots),
        tables=[
            Table(
                title="Models",
                reading="NNU: dead units / units, lower is better. Published NNU: dead / (units x examples). "
                "Skewness of the units' maxima: positive for a tail to the right. Consistency of the layers' "
                "maxima: 0 is perfectly even.",
                headings=HEADINGS,
                rows=[tuple(map(text.printable, comparison.cells(row))) for row in rows],
                left=1,
            ),
            Table(
                title="NNU of each layer",
                reading="Layers are matched by name; a dash where a model has no such layer.",
                headings=("layer", *map(text.printable, models)),
                rows=[
                    (text.printable(name), *(_nnu_cell(found.get(model)) for model in models))
                    for name, found in comparison.layers().items()
                ],
                left=1,
            ),
        ],
        provenance=[
            (f"{text.printable(name)}: {label}", value)
            for name, audit in comparison.audits.items()
            for label, value in provenance(audit)
        ],
    )


def _nnu_cell(layer: LayerAudit | None) -> str:
    if layer is None:
        return "-"
    return text.percent(layer.nnu) if layer.values else "unseen"


def provenance(audit: Audit) -> list[tuple[str, str]]:
    """How an audit came about, as labels and values."""
    training = sum(layer.training for layer in audit.layers.values())
    mode = {0: "eval", len(audit.layers): "train"}.get(
        training, f"train in {training} layers, eval in the rest"
    )
    return [
        ("Model", text.printable(audit.model)),
        (
            "Dead means",
            f"every value of the unit has abs(value) <= {audit.threshold:g}, and none is NaN or infinite",
        ),
        ("Mode", mode),
        (
            "Data types",
            ", ".join(sorted({layer.dtype for layer in audit.layers.values()})) or text.NOT_AVAILABLE,
        ),
        ("Examples, batches", f"{text.count(audit.examples)}, {text.count(audit.batches)}"),
        (
            "Audit points",
            f"{text.count(len(audit.expected))} expected, {text.count(len(audit.layers))} fired, "
            f"{text.count(len(audit.never_fired))} never fired",
        ),
        ("Versions", ", ".join(f"{name} {version}" for name, version in audit.versions.items())),
        *(
            (f"Note: {text.printable(key)}", text.printable(str(value)))
            for key, value in audit.annotations.items()
        ),
    ]
