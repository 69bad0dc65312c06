"""Every subset of frozen layers: which of them gives what, and what freezing a layer does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

from .. import text
from ..sheets import Column, Sheet, field
from .records import PARTS, PartName, Record, check_part, checked, points, share

KEYS: Final = (
    "frozen",
    "layers",
    "diverged",
    *(f"{part}_{key}" for part in PARTS for key in ("accuracy", "nnu")),
)
"""What every record of a subset has; the others of a sweep's records are kept."""


@dataclass(frozen=True)
class Effect:
    """What freezing one layer does, over all pairs of subsets that differ in this layer alone."""

    layer: str
    pairs: int
    """Pairs of which both accuracies are known."""
    accuracy: float
    """Mean change of the accuracy when the layer is frozen; NaN without a pair."""
    better: int
    """Pairs in which freezing it raised the accuracy."""
    worse: int
    """Pairs in which freezing it lowered the accuracy."""
    nnu: float
    """Mean change of NNU when the layer is frozen; NaN without a pair."""


def subsets(records: Iterable[Record], part: PartName = "test") -> tuple[Record, ...]:
    """The records, checked, the best first: by accuracy, then the lower NNU, then fewer frozen layers.

    Args:
        records: one network per subset: mappings with "layers", the names of all layers in network order, the
            same in each; "frozen", those that were not trained; and the keys of a sweep's records, of which
            "diverged" and the accuracy and NNU of both parts are used. None is a number that is not known.
        part: whose accuracy and NNU.

    Raises:
        TypeError: a record that is no mapping, or a value of another type.
        ValueError: no records, a key is missing, unequal layers, a frozen layer that is none of them, a
            subset twice, or `part` is neither "train" nor "test".
    """
    check_part(part)
    known = [_checked(f"records[{index}]", record) for index, record in enumerate(records)]
    if not known:
        raise ValueError("records: expected at least one subset of frozen layers, got none")
    seen: dict[frozenset[str], int] = {}
    for index, record in enumerate(known):
        if record["layers"] != known[0]["layers"]:
            raise ValueError(
                f"records[{index}]['layers']: expected those of records[0], {known[0]['layers']}, got "
                f"{record['layers']}; plot each network apart"
            )
        first = seen.setdefault(frozenset(record["frozen"]), index)
        if first != index:
            raise ValueError(
                f"records[{index}]['frozen']: expected each subset once, got that of records[{first}] again: "
                f"{record['frozen']}"
            )
    return tuple(sorted(known, key=lambda record: _rank(record, part)))


def effects(records: Iterable[Record], part: PartName = "test") -> tuple[Effect, ...]:
    """What freezing each layer does, in network order.

    Args:
        records, part: as for `subsets`. Where all subsets are there, the mean change is the mean with the
            layer frozen less the mean without; where some are missing or diverged, only whole pairs count.

    Raises:
        TypeError, ValueError: as `subsets`.
    """
    known = {frozenset(record["frozen"]): record for record in subsets(records, part)}
    layers: Sequence[str] = next(iter(known.values()))["layers"]
    return tuple(_effect(layer, known, part) for layer in layers)


def freezing_sheet(records: Iterable[Record], part: PartName = "test") -> Sheet:
    """A row per layer: what freezing it does on average. Notes name the best subset, and the extremes.

    Args:
        records, part: as for `subsets`.

    Raises:
        TypeError, ValueError: as `subsets`.
    """
    known = subsets(records, part)
    columns = (
        Column("layer", field("layer"), left=True),
        Column("pairs", field("pairs", text.count)),
        Column("accuracy, points", field("accuracy", points)),
        Column("better in", field("better", text.count)),
        Column("worse in", field("worse", text.count)),
        Column("NNU, points", field("nnu", points)),
    )
    title = f"What freezing a layer changes on the {PARTS[part]} set"
    rows = [asdict(effect) for effect in effects(known, part)]
    return Sheet("freezing", title, columns, rows, tuple(_notes(known, part)))


def subsets_sheet(records: Iterable[Record], part: PartName = "test") -> Sheet:
    """A row per subset of frozen layers, the best first: the numbers behind `plot_freezing`.

    Args:
        records, part: as for `subsets`.

    Raises:
        TypeError, ValueError: as `subsets`.
    """
    columns = (
        Column("frozen", field("frozen"), left=True),
        Column("layers frozen", field("layers_frozen", text.count)),
        Column(f"{PARTS[part]} accuracy", field("accuracy", share)),
        Column(f"{PARTS[part]} NNU", field("nnu", text.percent)),
        Column("diverged", field("diverged", lambda iteration: f"at {text.count(iteration)}")),
    )
    rows = [
        {
            "frozen": _named(record),
            "layers_frozen": len(record["frozen"]),
            "accuracy": record[f"{part}_accuracy"],
            "nnu": record[f"{part}_nnu"],
            "diverged": record["diverged"],
        }
        for record in subsets(records, part)
    ]
    return Sheet("frozen-layers", "Every subset of frozen layers, the best first", columns, rows)


def _checked(where: str, record: Record) -> dict[str, Any]:
    out = checked(where, record, KEYS)
    for key in ("frozen", "layers"):
        names = out[key]
        if (
            isinstance(names, str)
            or not isinstance(names, Sequence)
            or not all(isinstance(n, str) for n in names)
        ):
            raise TypeError(f"{where}[{key!r}]: expected a tuple of layers' names, got {names!r}")
        if len(set(names)) < len(names):
            raise ValueError(f"{where}[{key!r}]: expected each layer once, got {tuple(names)}")
    layers = tuple(out["layers"])
    unknown = [name for name in out["frozen"] if name not in layers]
    if unknown:
        raise ValueError(
            f"{where}['frozen']: expected layers among {text.enumerate_names(layers)}, got "
            f"{text.enumerate_names(unknown)}"
        )
    frozen = tuple(name for name in layers if name in out["frozen"])
    return {**out, "frozen": frozen, "layers": layers}


def _rank(record: Record, part: PartName) -> tuple[Any, ...]:
    accuracy, nnu = record[f"{part}_accuracy"], record[f"{part}_nnu"]
    places = [record["layers"].index(name) for name in record["frozen"]]
    return (
        math.isnan(accuracy), 0 if math.isnan(accuracy) else -accuracy,
        math.isnan(nnu), 0 if math.isnan(nnu) else nnu,
        len(places), places,
    )  # fmt: skip


def _effect(layer: str, known: dict[frozenset[str], Record], part: PartName) -> Effect:
    pairs = [
        (known[without], record)
        for frozen, record in known.items()
        if layer in frozen and (without := frozen - {layer}) in known
    ]
    accuracy = _changes(pairs, f"{part}_accuracy")
    nnu = _changes(pairs, f"{part}_nnu")
    return Effect(
        layer=layer,
        pairs=len(accuracy),
        accuracy=fmean(accuracy) if accuracy else math.nan,
        better=sum(change > 0 for change in accuracy),
        worse=sum(change < 0 for change in accuracy),
        nnu=fmean(nnu) if nnu else math.nan,
    )


def _changes(pairs: Iterable[tuple[Record, Record]], key: str) -> list[float]:
    changes = (frozen[key] - trained[key] for trained, frozen in pairs)
    return [change for change in changes if not math.isnan(change)]


def _notes(known: Sequence[Record], part: PartName) -> Iterator[str]:
    yield "mean change when the layer is frozen, over the pairs of subsets that differ in this layer alone"
    layers = known[0]["layers"]
    described = {"the best": known[0]}
    for record in known:
        if not record["frozen"]:
            described["nothing frozen"] = record
        elif len(record["frozen"]) == len(layers):
            described["everything frozen"] = record
    for what, record in described.items():
        accuracy, nnu = record[f"{part}_accuracy"], record[f"{part}_nnu"]
        frozen = f" ({_named(record)} frozen)" if what == "the best" else ""
        yield f"{what}{frozen}: accuracy {share(accuracy)}, NNU {text.percent(nnu)}"
    diverged = sum(record["diverged"] is not None for record in known)
    if diverged:
        yield f"{text.count(diverged)} of {text.plural(len(known), 'network')} diverged and are in no pair"


def _named(record: Record) -> str:
    return ", ".join(record["frozen"]) or "nothing"
