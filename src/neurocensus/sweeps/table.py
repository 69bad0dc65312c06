"""`SweepTable`: every network of the sweeps in one table."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import tables, text
from ..sheets import Column, Sheet, field
from .lines import Floats, best_fit
from .records import (
    LEARNING_RATE,
    NUMBERS,
    PARTS,
    PartName,
    Record,
    check_part,
    checked,
    correlation,
    one_class,
    share,
    sweep_title,
)

if TYPE_CHECKING:
    import pandas

Flags: TypeAlias = npt.NDArray[np.bool_]


class SweepTable:
    """The trained networks of one or more sweeps, a record each.

    Args:
        records: mappings with these keys; others are kept beside them:

            - "network": str, such as "cat to dog"; "sweep": str, "learning_rate" or the layer whose width was
              swept, such as "hidden1".
            - "value": float, the swept value; "learning_rate": float.
            - "widths": str such as "12288-20-7-5-1"; "units", "iterations": int.
            - "cost": float, of the training examples at the end; "diverged": None, or the iteration (int) at
              which training was found to have diverged.
            - of each part, "train" and "test": the ten metrics, "train_accuracy" and so on, and "train_nnu",
              shares as floats; "train_dead", int.

            None is a number that is not known and becomes NaN, as is read from JSON.

    Raises:
        TypeError: a record that is no mapping, or a value of another type.
        ValueError: a key is missing, a count is negative, a swept value is not finite, or a swept learning
            rate is not above 0.
    """

    records: tuple[Record, ...]
    """In the order given."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(_checked(f"records[{index}]", record) for index, record in enumerate(records))

    @property
    def networks(self) -> tuple[str, ...]:
        """Which networks there are, in order of their first records."""
        return tuple(dict.fromkeys(record["network"] for record in self.records))

    @property
    def sweeps(self) -> tuple[str, ...]:
        """What was swept, in order of the first records."""
        return tuple(dict.fromkeys(record["sweep"] for record in self.records))

    def of(self, network: str | None = None, sweep: str | None = None) -> SweepTable:
        """The records of one network, of one sweep, or of both; an empty table where that was not swept.

        Raises:
            ValueError: a name that no record has.
        """
        for argument, name, known in (("network", network, self.networks), ("sweep", sweep, self.sweeps)):
            if name is not None and name not in known:
                raise ValueError(f"{argument}: expected one of {text.enumerate_names(known)}, got {name!r}")
        return SweepTable(
            record
            for record in self.records
            if network in (None, record["network"]) and sweep in (None, record["sweep"])
        )

    def column(self, key: str) -> Floats:
        """One number of each record, float64 (records,); NaN where there is none.

        Raises:
            ValueError: no key of a number.
        """
        if key not in NUMBERS:
            raise ValueError(f"key: expected one of {', '.join(NUMBERS)}, got {key!r}")
        return np.array([record[key] for record in self.records], np.float64)

    @property
    def diverged(self) -> Flags:
        """Which networks diverged, bool (records,)."""
        return np.array([record["diverged"] is not None for record in self.records], np.bool_)

    def one_class(self, part: PartName = "test") -> Flags:
        """Which networks give every example of the part the same class, bool (records,).

        So does a network in which a whole layer is dead: its metrics say only how frequent the classes are.
        """
        return np.array([one_class(record, part) for record in self.records], np.bool_)

    def sheet(self, part: PartName = "test") -> Sheet:
        """A row per network and sweep: the best and the median accuracy, and NNU beside them.

        Raises:
            ValueError: `part` is neither "train" nor "test".
        """
        check_part(part)
        columns = (
            Column("network", field("network"), left=True),
            Column("sweep", field("sweep", sweep_title), left=True),
            Column("models", field("models", text.count)),
            Column("diverged", field("diverged", text.count)),
            Column("one class", field("one_class", text.count)),
            Column("best accuracy", field("best_accuracy", share)),
            Column("at", field("best_value", text.real)),
            Column("its NNU", field("best_nnu", text.percent)),
            Column("median accuracy", field("median_accuracy", share)),
            Column("median NNU", field("median_nnu", text.percent)),
            Column("r", field("r", correlation)),
        )
        title = f"Sweeps: accuracy and NNU on the {PARTS[part]} set"
        return Sheet("sweeps", title, columns, list(self._summaries(part)), tuple(self._notes(part)))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the records under their keys, atomically. None and NaN are empty cells."""
        self._whole().to_csv(path)

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the records.

        Raises:
            ImportError: pandas is not installed.
        """
        return self._whole().to_pandas()

    def to_dict(self) -> dict[str, Any]:
        """The table ready for JSON: what is NaN or infinite is None."""
        out: dict[str, Any] = tables.json_ready({"records": self.records})
        return out

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> SweepTable:
        """What `to_dict` gave, also by way of JSON. A cost that was infinite is NaN.

        Raises:
            TypeError: no mapping with a list of records, or as the constructor.
            ValueError: as the constructor.
        """
        records = body.get("records") if isinstance(body, Mapping) else None
        if not isinstance(records, Sequence) or isinstance(records, str):
            raise TypeError(
                f"body: expected {{'records': [...]}}, as to_dict gives, got {type(body).__name__}"
            )
        return cls(records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        networks, sweeps = text.plural(len(self.networks), "network"), text.plural(len(self.sweeps), "sweep")
        return f"<SweepTable of {text.plural(len(self), 'record')}: {networks}, {sweeps}>"

    def __str__(self) -> str:
        return str(self.sheet())

    def _whole(self) -> Sheet:
        keys = dict.fromkeys(key for record in self.records for key in record)
        records = [{key: record.get(key) for key in keys} for record in self.records]
        return Sheet("sweeps", "Sweeps", [Column(key, field(key)) for key in keys], records)

    def _summaries(self, part: PartName) -> Iterator[dict[str, Any]]:
        for network in self.networks:
            of_network = self.of(network)
            for sweep in of_network.sweeps:
                yield {
                    "network": network,
                    "sweep": sweep,
                    "part": part,
                    **_summary(of_network.of(sweep=sweep), part),
                }

    def _notes(self, part: PartName) -> Iterator[str]:
        if not self.records:
            return
        yield "at: the swept value of the best accuracy; of several the smallest"
        yield "r: Pearson's correlation of NNU and accuracy over the models of the row"
        if self.one_class(part).any():
            yield (
                f"one class: models that give all {PARTS[part]} examples the same class, as one does in "
                "which a whole layer is dead; they are in every column"
            )
        if self.diverged.any():
            yield "models that diverged have no accuracy and no NNU"


def _checked(where: str, record: Record) -> Record:
    out = checked(where, record)
    value = out["value"]
    if not math.isfinite(value):
        raise ValueError(f"{where}['value']: expected the swept value, a finite number, got {value}")
    if out["sweep"] == LEARNING_RATE and value <= 0:
        raise ValueError(f"{where}['value']: expected a learning rate above 0, got {value}")
    return out


def _summary(table: SweepTable, part: PartName) -> dict[str, Any]:
    accuracy, nnu = table.column(f"{part}_accuracy"), table.column(f"{part}_nnu")
    best = _best(accuracy, table.column("value"))
    line = best_fit(nnu, accuracy)
    return {
        "models": len(table),
        "diverged": int(table.diverged.sum()),
        "one_class": int(table.one_class(part).sum()),
        "best_accuracy": math.nan if best is None else float(accuracy[best]),
        "best_value": math.nan if best is None else table.records[best]["value"],
        "best_nnu": math.nan if best is None else float(nnu[best]),
        "median_accuracy": _median(accuracy),
        "median_nnu": _median(nnu),
        "r": math.nan if line is None else line.r,
    }


def _best(accuracy: Floats, values: Floats) -> int | None:
    """Where the accuracy is highest, of several at the smallest value; None where it is known nowhere."""
    known = np.flatnonzero(~np.isnan(accuracy)).tolist()
    return min(known, key=lambda index: (-accuracy[index], values[index])) if known else None


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan
