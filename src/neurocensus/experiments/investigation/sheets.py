"""The tables of an investigation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ... import text
from ...assessment.confusion import TITLES, Confusion
from ...explain import lives_sheet
from ...sheets import Column, Sheet, field
from ...sweeps.freezing import freezing_sheet
from ...sweeps.records import sweep_title
from ...sweeps.table import SweepTable
from ..published import TABLE_4_1, PublishedConfusion
from .findings import findings
from .running import Investigation
from .setup import ITERATIONS
from .studied import Studied


def short_sheets(done: Investigation) -> list[Sheet]:
    """Those that fit a terminal."""
    out = [_networks(done), _beside_the_thesis(done)]
    if done.sweeps is not None:
        out.append(done.sweeps.sheet())
    return out


def all_sheets(done: Investigation) -> list[Sheet]:
    """All of them, in the order of the report."""
    out = [_networks(done), _beside_the_thesis(done), _table_4_1(done)]
    if done.sweeps is not None:
        out.append(done.sweeps.sheet())
    if done.freezing is not None:
        out.append(freezing_sheet(done.freezing))
    if done.frozen_sweeps is not None:
        out.append(_frozen_sweeps(done.frozen_sweeps))
    out += [_tops(done), *_lives(done)]
    return out


def _networks(done: Investigation) -> Sheet:
    columns = (
        Column("network", field("network"), left=True),
        Column("widths", field("widths"), left=True),
        Column("training accuracy", field("train_accuracy", text.percent)),
        Column("test accuracy", field("test_accuracy", text.percent)),
        Column("cost", field("cost", text.real)),
        Column("dead", field("dead", text.count)),
        Column("units", field("units", text.count)),
        Column("NNU", field("nnu", text.percent)),
        Column("skewness", field("skewness", text.real)),
        Column("consistency", field("consistency", text.real)),
    )
    records = [
        {
            "network": one.name,
            "widths": "-".join(map(str, one.network.widths)),
            "train_accuracy": one.confusions["train"].accuracy,
            "test_accuracy": one.confusions["test"].accuracy,
            "cost": one.descent.costs[-1],
            "dead": one.audit.dead,
            "units": one.audit.units,
            "nnu": one.audit.nnu,
            "skewness": one.audit.spectrum().skewness,
            "consistency": one.audit.range().consistency,
        }
        for one in done.studied.values()
    ]
    notes = [
        "dead units, NNU, skewness and consistency over the test images, the output's unit included",
        *(
            f"{one.name}: over all {one.whole.examples} images, those to train with included, "
            f"{one.whole.dead} of {one.whole.units} units are dead: NNU {text.percent(one.whole.nnu)}"
            for one in done.studied.values()
        ),
    ]
    return Sheet("networks", "The baseline networks", columns, records, notes)


def _beside_the_thesis(done: Investigation) -> Sheet:
    columns = (
        Column("the thesis says", field("statement"), left=True),
        Column("found here", field("found"), left=True),
        Column("", field("verdict"), left=True),
    )
    setup, records = done.setup, [asdict(one) for one in findings(done)]
    notes = []
    if setup.updates != ITERATIONS or setup.scale != 1:
        notes = [
            f"the thesis trained {ITERATIONS} iterations and 50 values a sweep; here it is {setup.updates} "
            f"iterations, scale {setup.scale:g}: too little to judge it by"
        ]
    return Sheet("findings", "Beside the thesis (section 4.1)", columns, records, notes)


def _table_4_1(done: Investigation) -> Sheet:
    name = done.setup.names[0]
    found = done.studied[name].confusions
    columns = (
        Column("metric", field("metric"), left=True),
        Column("published", field("published", "{:g}".format)),
        Column("test", field("test", "{:.3f}".format)),
        Column("training", field("train", "{:.3f}".format)),
    )
    records = [
        {"metric": TITLES[key], "published": value}
        | {part: confusion.metrics()[key] for part, confusion in found.items()}
        for key, value in TABLE_4_1.metrics.items()
    ]
    notes = [
        f"the published values follow from {_counts(TABLE_4_1)} among 50 images; here there are "
        f"{_counts(found['test'])} among {found['test'].examples}"
    ]
    return Sheet("table-4.1", f"Table 4.1: the baseline {name} network", columns, records, notes)


def _counts(matrix: PublishedConfusion | Confusion) -> str:
    return (
        f"{matrix.tp} true and {matrix.fp} false positives, {matrix.tn} true and {matrix.fn} false negatives"
    )


def _frozen_sweeps(table: SweepTable) -> Sheet:
    sweeps = table.sweeps
    records = []
    for network in table.networks:
        record: dict[str, Any] = {"frozen": network}
        for sweep in sweeps:
            part = table.of(network, sweep)
            for key in ("accuracy", "nnu"):
                values = part.column(f"test_{key}")
                record[f"{sweep}_{key}"] = (
                    float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
                )
        records.append(record)
    columns = [Column("frozen layers", field("frozen"), left=True)]
    for sweep in sweeps:
        columns.append(Column(f"{sweep_title(sweep)}: accuracy", field(f"{sweep}_accuracy", "{:.3f}".format)))
        columns.append(Column("NNU", field(f"{sweep}_nnu", text.percent)))
    title = "Sweeps of the transferred network by what is frozen: means over each sweep, test set"
    notes = ["source: the three hidden layers from there; new 1 to 3: the hidden layers behind them"]
    return Sheet("frozen-sweeps", title, columns, records, notes)


def _tops(done: Investigation) -> Sheet:
    columns = (
        Column("network", field("network"), left=True),
        Column("layer", field("layer"), left=True),
        Column("living units", field("living", text.count)),
        Column("all of the class", field("all", text.count)),
        Column("none of it", field("none", text.count)),
        Column("mean share", field("share", text.percent)),
        Column("share among all images", field("prevalence", text.percent)),
    )
    records = [record for one in done.studied.values() for record in _top_rows(one)]
    notes = [
        "of each unit's strongest training images, how many are of the class sought: are there units for it "
        "alone?",
    ]
    return Sheet("strongest", "The inputs that activate units most", columns, records, notes)


def _top_rows(one: Studied) -> Iterator[dict[str, Any]]:
    labels = one.pair.train.labels
    for name, layer in one.top.layers.items():
        shares = np.array(
            [
                labels[examples[values > 0]].mean()
                for values, examples in zip(layer.values, layer.examples, strict=True)
                if (values > 0).any()
            ]
        )
        yield {
            "network": one.name,
            "layer": name,
            "living": len(shares),
            "all": int((shares == 1).sum()),
            "none": int((shares == 0).sum()),
            "share": float(shares.mean()) if len(shares) else math.nan,
            "prevalence": float(labels.mean()),
        }


def _lives(done: Investigation) -> Iterator[Sheet]:
    for one in done.studied.values():
        sheet = lives_sheet(one.responses.lives())
        title = f"Lives of the units of {one.name}, over all images"
        yield replace(sheet, name=f"lives-{text.file_name(one.name)}", title=title)
