"""`History`: what happened in each epoch, in memory and as one JSON line per epoch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .files import HISTORY

COLUMNS: Final = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds")
"""What every row has; callbacks add others."""


@dataclass(frozen=True)
class History:
    """The epochs of a training.

    Args:
        rows: one mapping per epoch: epoch, from 1; loss and accuracy over the epoch's training examples, as
            they came (with dropout and augmentation, while the weights changed); validation_loss and
            validation_accuracy at its end, in eval mode; seconds for training and validation; and what
            callbacks gave.
        stopped: why the training ended: "epochs" (all done) or "patience"; None: it has not.
    """

    rows: tuple[Mapping[str, float], ...] = ()
    stopped: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best(self) -> Mapping[str, float]:
        """The epoch of the lowest validation loss; the first of equals.

        Raises:
            ValueError: there is no epoch yet.
        """
        if not self.rows:
            raise ValueError("history: expected at least one epoch to choose the best of, got none")
        return min(self.rows, key=lambda row: row["validation_loss"])

    def column(self, name: str) -> list[float]:
        """One value per epoch; NaN where a row has none, as where an audit was not due."""
        return [float(row.get(name, math.nan)) for row in self.rows]

    def to_jsonl(self) -> str:
        """One line per epoch. NaN is written as null; the last line says why the training ended."""
        rows: list[dict[str, Any]] = [encoded(row) for row in self.rows]
        if rows and self.stopped:
            rows[-1]["stopped"] = self.stopped
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read a ``history.jsonl``, or the one in a folder.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged; names the line.
        """
        path = Path(path)
        if path.is_dir():
            path /= HISTORY
        if not path.is_file():
            raise FileNotFoundError(f"history: no such file: {path}")
        rows: list[dict[str, Any]] = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                row = decoded(json.loads(line))
                missing = [name for name in COLUMNS if name not in row]
                if missing:
                    raise ValueError(f"no {', '.join(missing)}")
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(
                    f"history: {path}, line {number}: expected the JSON object of an epoch: {error}. "
                    "If the checkpoint is beside it, calling fit again writes it anew"
                ) from error
            rows.append(row)
        stopped = rows[-1].pop("stopped", None) if rows else None
        return cls(tuple(rows), stopped)


def encoded(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` as JSON can hold it: numbers that are not finite become null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def decoded(row: Any) -> dict[str, Any]:
    """What `encoded` gave, back: null becomes NaN."""
    if not isinstance(row, dict):
        raise TypeError(f"got {type(row).__name__}")
    return {str(k): math.nan if v is None else v for k, v in row.items()}
