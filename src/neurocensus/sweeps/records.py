"""What is kept of each trained network: the keys of a record, their checks, and what people call them."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from .. import text
from ..arguments import integer
from ..assessment.confusion import METRICS
from ..assessment.relations import readable

PartName: TypeAlias = Literal["train", "test"]
Record: TypeAlias = Mapping[str, Any]

PARTS: Final[Mapping[str, str]] = {"train": "training", "test": "test"}
"""What people call the two sets of examples that a network is scored on."""
MEASURES: Final = (*METRICS, "nnu")
"""What is known of a network on each part: the ten metrics of the confusion matrix, and NNU."""
LEARNING_RATE: Final = "learning_rate"
"""The sweep whose values are spread over decades. Every other is of the width of the layer it is named by."""

KEYS: Final = (
    "network", "sweep", "value", "learning_rate", "widths", "iterations", "cost", "diverged", "units",
    *(f"{part}_{key}" for part in PARTS for key in (*MEASURES, "dead")),
)  # fmt: skip
"""What every record of a sweep has."""
TEXTS: Final = ("network", "sweep", "widths")
COUNTS: Final = ("iterations", "diverged", "units", *(f"{part}_dead" for part in PARTS))
NUMBERS: Final = tuple(key for key in KEYS if key not in TEXTS)


def checked(where: str, record: object, keys: tuple[str, ...] = KEYS) -> dict[str, Any]:
    """A record with `keys` in their order, then what else it has.

    Numbers become Python's. None becomes NaN, which JSON makes None of; as "diverged" either is None.

    Args:
        where: the record's name in messages, such as ``records[3]``.
        keys: those it must have.

    Raises:
        TypeError: no mapping, or a value of another type.
        ValueError: a key is missing, or a count is negative.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f"{where}: expected a mapping, one per trained network, got {type(record).__name__}")
    missing = [key for key in keys if key not in record]
    if missing:
        raise ValueError(
            f"{where}: expected the keys of a record, got none named {text.enumerate_names(missing)}"
        )
    known = {key: _value(f"{where}[{key!r}]", key, record[key]) for key in keys}
    return {**known, **{key: value for key, value in record.items() if key not in known}}


def _value(where: str, key: str, value: Any) -> Any:
    if key in TEXTS:
        if not isinstance(value, str):
            raise TypeError(f"{where}: expected text, got {type(value).__name__}")
        return value
    if key not in NUMBERS:
        return value
    if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
        return None if key == "diverged" else math.nan
    if key in COUNTS:
        return integer(where, value, 0)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{where}: expected a number, got {type(value).__name__}")
    return float(value)


def one_class(record: Record, part: PartName) -> bool:
    """Whether a network gives every example of the part the same class.

    So does one in which a whole layer is dead: its metrics say only how frequent the classes are. False where
    the rates are not known.
    """
    found, false = (record.get(f"{part}_{side}_positive_rate") for side in ("true", "false"))
    return found == false and found in (0, 1)


def check_part(part: str) -> None:
    """Raise ValueError unless `part` is "train" or "test"."""
    if part not in PARTS:
        raise ValueError(f"part: expected 'train' or 'test', got {part!r}")


def split_measure(key: str) -> tuple[PartName, str]:
    """``test_accuracy`` as ``("test", "accuracy")``.

    Raises:
        ValueError: no measure of a part.
    """
    part, _, measure = key.partition("_")
    if part not in PARTS or measure not in MEASURES:
        raise ValueError(
            f"measure: expected 'train_' or 'test_' and one of {', '.join(MEASURES)}, got {key!r}"
        )
    return cast(PartName, part), measure


def measure_title(key: str) -> str:
    """A measure of a part, for people: ``test_f1`` as ``test F1``.

    Raises:
        ValueError: no measure of a part.
    """
    part, measure = split_measure(key)
    return f"{PARTS[part]} {readable(measure)}"


def sweep_title(sweep: str) -> str:
    """What was swept, for people: ``hidden1`` as ``width of hidden layer 1``."""
    if sweep == LEARNING_RATE:
        return readable(sweep)
    hidden = re.fullmatch(r"hidden(\d+)", sweep)
    return f"width of hidden layer {hidden[1]}" if hidden else f"width of {sweep}"


def share(value: float) -> str:
    """A share with three places; NaN is "n/a"."""
    return text.NOT_AVAILABLE if math.isnan(value) else f"{value:.3f}"


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign; NaN is "n/a"."""
    return text.NOT_AVAILABLE if math.isnan(change) else f"{100 * change:+.1f}"


def correlation(r: float) -> str:
    """A correlation with two places; NaN is "n/a"."""
    return text.NOT_AVAILABLE if math.isnan(r) else f"{r:.2f}"
