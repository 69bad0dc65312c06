"""An audit as rows and columns: plain text, rich, CSV, pandas and JSON all start from here."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import metrics, text
from .storage import atomic

if TYPE_CHECKING:
    import pandas
    import rich.table

    from .result import Audit, LayerAudit

PER = ("layer", "unit")


def layer_row(layer: LayerAudit) -> dict[str, Any]:
    """What is known of a layer as a whole, under the names used in every export. Shares are in [0, 1]."""
    state = layer.state
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "units": layer.units,
        "dead": layer.dead,
        "nnu": layer.nnu,
        "unseen": layer.unseen,
        "near_dead": len(layer.near_dead_units()),
        "dormant": len(layer.dormant_units()),
        "silent_fraction": mean(layer.silent_fraction),
        "zero_fraction": mean(layer.zero_fraction),
        "max": layer.max,
        "skewness": layer.skewness,
        "firing_rate_bound": metrics.zero_event_bound(state.examples),
        "examples": layer.examples,
        "values": layer.values,
        "nan": int(state.nan.sum()),
        "inf": int(state.inf.sum()),
        "calls": layer.calls,
        "dtype": layer.dtype,
        "training": layer.training,
        "masked": layer.masked,
        "threshold": state.threshold,
        "unit_axis": layer.unit_axis,
        "unit_rule": layer.unit_rule,
        "example_axis": layer.example_axis,
    }


def unit_columns(layer: LayerAudit) -> dict[str, np.ndarray[Any, Any]]:
    """What is known of each unit of a layer: arrays of length ``units``."""
    state = layer.state
    return {
        "unit": np.arange(state.units),
        "dead": state.dead,
        "near_dead": metrics.near_dead(state),
        "dormant": metrics.dormant(state),
        "silent_fraction": metrics.silent_fraction(state),
        "zero_fraction": metrics.zero_fraction(state),
        "max": _where_seen(state.max),
        "min": _where_seen(state.min),
        "argmax": state.argmax,
        "mean": np.where(state.finite > 0, state.mean, np.nan),
        "variance": metrics.variance(state),
        "mean_abs": np.where(state.finite > 0, state.mean_abs, np.nan),
        "firing_rate_bound": metrics.firing_rate_bound(state),
        "nonzero": state.nonzero,
        "active_examples": state.active_examples,
        "nan": state.nan,
        "inf": state.inf,
    }


def mean(shares: metrics.Floats) -> float:
    """Mean of the shares that are not NaN; NaN where all are."""
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if len(known) else math.nan


def json_ready(value: Any) -> Any:
    """`value` with what JSON cannot say (NaN, infinities) as None, and NumPy scalars as Python's."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(body: Mapping[str, Any]) -> str:
    """What `to_dict` gives, as the text of a JSON file."""
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def write_csv(audit: Audit, path: str | os.PathLike[str], per: str) -> None:
    """Write one row per layer or per unit, atomically. NaN is an empty cell.

    Names are written as they are, also those that a spreadsheet would run as a formula (``=...``).
    """
    check_per(per)
    with (
        atomic(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        writer = csv.writer(file)
        for index, layer in enumerate(audit.layers.values()):
            if per == "layer":
                row = layer_row(layer)
                columns = {name: [value] for name, value in row.items()}
            else:
                columns = {"layer": [layer.name] * layer.units}
                columns.update({name: array.tolist() for name, array in unit_columns(layer).items()})
            if index == 0:
                writer.writerow(columns)
            writer.writerows(zip(*map(_blank_nan, columns.values()), strict=True))


def to_pandas(audit: Audit, per: str) -> pandas.DataFrame:
    """A DataFrame with one row per layer or per unit."""
    check_per(per)
    pd = import_pandas()
    frame: pandas.DataFrame
    if per == "layer":
        frame = pd.DataFrame([layer_row(layer) for layer in audit.layers.values()])
        return frame
    names = list(audit.layers)
    parts = [unit_columns(layer) for layer in audit.layers.values()]
    owner = np.repeat(np.arange(len(parts)), [layer.units for layer in audit.layers.values()])
    # Categories, so that millions of units share their layer's name.
    data: dict[str, Any] = {"layer": pd.Categorical.from_codes(owner, names)}
    data.update({key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {})
    frame = pd.DataFrame(data)
    return frame


def import_pandas() -> Any:
    """The pandas module, or an ImportError that says how to get it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install 'neurocensus[pandas]'") from error
    return pandas


def check_per(per: str) -> None:
    """Raise ValueError unless `per` names a kind of row."""
    if per not in PER:
        raise ValueError(f"per: expected 'layer' or 'unit', got {per!r}")


HEADINGS = ("layer", "kind", "units", "dead", "NNU", "near-dead", "silent", "max")


def cells(layer: LayerAudit) -> tuple[str, ...]:
    """A layer under `HEADINGS`, formatted for people. Names are as they are: escape them where shown."""
    return (
        layer.name,
        layer.kind,
        text.count(layer.units),
        text.count(layer.dead) if layer.values else "unseen",
        text.percent(layer.nnu) if layer.values else text.NOT_AVAILABLE,
        text.count(len(layer.near_dead_units())),
        text.percent(mean(layer.silent_fraction)),
        text.real(layer.max),
    )


def headline(audit: Audit) -> list[str]:
    """The numbers of the whole model, one line each."""
    dead = f"{text.count(audit.dead)} of {text.plural(audit.units, 'unit')} dead"
    return [
        f"Audit of {text.printable(audit.model)}: {text.plural(audit.examples, 'example')}, "
        f"{text.plural(len(audit.layers), 'layer')}, {text.plural(audit.units, 'unit')}",
        f"NNU {text.percent(audit.nnu)}: {dead}, utilization {text.percent(audit.utilization)}",
        f"NNU as published (dead / units x examples): {text.percent(audit.nnu_published)}",
    ]


def plain(audit: Audit, limit: int = 40) -> str:
    """An audit as plain text; of more than `limit` layers the middle ones are left out, and said to be."""
    layers = list(audit.layers.values())
    head, tail = (layers, []) if len(layers) <= limit else (layers[: limit // 2], layers[-(limit // 2) :])
    rows = [HEADINGS, *(cells(layer) for layer in (*head, *tail))]
    lines = align(rows, left=2)
    if tail:
        hidden = len(layers) - len(head) - len(tail)
        lines.insert(
            1 + len(head), f"... {text.plural(hidden, 'layer')} not shown; to_csv and report have all ..."
        )
    return "\n".join([*headline(audit), "", *lines, *(f"warning: {line}" for line in audit.warnings)])


def align(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows as lines of equal columns: the first `left` columns flush left, the others right."""
    rows = [[text.shorten(text.printable(cell), 48) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def rich_table(audit: Audit) -> rich.table.Table:
    """An audit as a table for the terminal."""
    rows = [cells(layer) for layer in audit.layers.values()]
    return rich_rows(HEADINGS, rows, 2, title="\n".join(headline(audit)), warnings=audit.warnings)


def rich_rows(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int,
    *,
    title: str | None = None,
    warnings: Sequence[str] = (),
) -> rich.table.Table:
    """Rows as a table for the terminal, with the warnings under it. Names are text, never markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title_justify="left", caption_justify="left")
    if title is not None:
        table.title = Text(title, style="bold")
    for column, heading in enumerate(headings):
        names = column < left  # these fold where room is short; a number stays in one piece
        table.add_column(heading, justify="left" if names else "right", overflow="fold", no_wrap=not names)
    for row in rows:
        table.add_row(*(Text(text.printable(cell)) for cell in row))
    if warnings:
        table.caption = Text("\n".join(f"warning: {line}" for line in warnings), style="yellow")
    return table


def with_short_names(rows: Sequence[Sequence[str]], *, columns: int, width: int = 30) -> list[list[str]]:
    """Rows whose first `columns` are names, each cut to about `width` characters and still told apart.

    A terminal would fold long dotted paths every few characters once the numbers have taken their room.
    """
    short = [text.shorten_all([row[column] for row in rows], width) for column in range(columns)]
    return [[*(names[index] for names in short), *row[columns:]] for index, row in enumerate(rows)]


def _blank_nan(column: Sequence[Any]) -> list[Any]:
    return ["" if isinstance(value, float) and math.isnan(value) else value for value in column]


def _where_seen(extrema: metrics.Floats) -> metrics.Floats:
    return np.where(np.isinf(extrema), np.nan, extrema)
