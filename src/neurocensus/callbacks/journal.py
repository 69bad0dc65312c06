"""The monitor's file: one line of JSON per row, appended whole, read back, and cut where a run goes on."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..storage import write_bytes
from ..tables import json_ready
from .lock import Lock

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
"""What a monitor writes at a time; see docs/callbacks.md for its fields."""

FILE: Final = "activations.jsonl"

_FIELDS: Final[Mapping[str, type]] = {
    "step": int, "first_step": int, "mode": str, "units": int, "dead": int, "nnu": float, "layers": dict,
    "warnings": list,
}  # fmt: skip
_LAYER_FIELDS: Final[Mapping[str, type]] = {
    "units": int, "dead": int, "unseen": int, "nnu": float, "examples": int, "nan": int, "inf": int,
}  # fmt: skip


def read_monitor(path: str | os.PathLike[str]) -> list[Row]:
    """The rows that a `Monitor` wrote, in the order in which it did. What is not known is NaN.

    A line that a kill or a full disk cut short is no row.

    Args:
        path: an ``activations.jsonl``, or the folder that it is in.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; names the line.
    """
    path = Path(path)
    if path.is_dir():
        path /= FILE
    if not path.is_file():
        raise FileNotFoundError(f"path: expected a file that a Monitor wrote, found none: {path}")
    return [_row(path, number, line) for number, line in enumerate(_whole_lines(path), 1)]


def plot_monitor(path: str | os.PathLike[str]) -> Figure:
    """NNU over the training, and a map of the dead share of each layer, from what a `Monitor` wrote.

    Args:
        path: as for `read_monitor`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or has no row yet.
    """
    from ..plots.monitor import plot_rows

    rows = read_monitor(path)
    if not rows:
        raise ValueError(f"path: expected at least one row to draw, found none: {path}; log more often")
    return plot_rows(rows)


class Journal:
    """The rows of a training, on disk. Nobody else writes any in this folder until `close`.

    A training that goes on keeps the rows up to where it does so; those after it will come again. One that
    begins puts the file of an earlier one aside: ``activations-1.jsonl`` and so on.

    Args:
        folder: where the file is; made if missing.
        first_step: the optimizer steps that the training has behind it.

    Attributes:
        kept: the rows that were there, up to `first_step`.

    Raises:
        NotADirectoryError: there is a file of the folder's name.
        ValueError: the file of the training to go on with is damaged.
        RuntimeError: another journal is open there.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(
                f"folder: expected a folder or a free name, got a file: {folder}"
            ) from None
        self.path = folder / FILE
        self.kept: Sequence[Row] = ()
        self._lock = Lock(folder)
        try:
            self._begin(first_step)
        except BaseException:
            self.close()
            raise

    def _begin(self, first_step: int) -> None:
        if not self.path.exists():
            return
        if not first_step:
            self.path.rename(_free(self.path))
            return
        lines = _whole_lines(self.path)
        rows = [_row(self.path, number, line) for number, line in enumerate(lines, 1)]
        place = [index for index, row in enumerate(rows) if row["step"] <= first_step]
        self.kept = [rows[index] for index in place]
        kept = b"".join(lines[index] for index in place)
        if len(kept) != self.path.stat().st_size:
            write_bytes(self.path, kept)

    def close(self) -> None:
        """Let others write here."""
        self._lock.release()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row: a whole line, on disk when this returns, or nothing.

        Raises:
            OSError: no permission, a full disk, a folder that is gone; the file is as it was.
            RuntimeError: somebody removed the folder, and another monitor is at work in the new one.
        """
        line = (json.dumps(json_ready(row), allow_nan=False) + "\n").encode()
        try:
            self._lock.take()
            _append(self.path, line)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}; no row was added, what was counted is kept for the next one. Free space "
                "on the disk, or make the folder again",
                str(self.path),
            ) from error


def _append(path: Path, line: bytes) -> None:
    with open(path, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise


def _whole_lines(path: Path) -> list[bytes]:
    """The lines that have their end; one that was being written in a kill does not."""
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row: Row = _decoded(json.loads(line))
        _check("", row, _FIELDS)
        for name, layer in row["layers"].items():
            _check(f"layers[{name!r}].", layer, _LAYER_FIELDS)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path}, line {number}: expected the JSON object of a row that a Monitor wrote: {error}. "
            "Remove the line, or give another folder"
        ) from error
    return row


def _check(where: str, entry: Any, fields: Mapping[str, type]) -> None:
    if not isinstance(entry, dict):
        raise TypeError(f"{where or 'got '}{type(entry).__name__}")
    for name, kind in fields.items():
        if name not in entry:
            raise ValueError(f"{where}{name}: found none")
        if type(entry[name]) is not kind:  # a bool is no int here
            raise TypeError(f"{where}{name}: expected {kind.__name__}, got {entry[name]!r}")


def _decoded(value: Any) -> Any:
    """What `json_ready` gave, back: null becomes NaN, and a share of 0 or 1 is a float."""
    if isinstance(value, dict):
        return {k: float(v) if k == "nnu" and type(v) is int else _decoded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return math.nan if value is None else value


def _free(path: Path) -> Path:
    number = 1
    while (free := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    return free
