"""The file of an audit, written in pieces and read with suspicion.

It is one safetensors file: the states' arrays as tensors ``layers.<index>.<field>``, everything else as JSON
in the file's metadata. Layers are numbered, so that a name may be anything. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors
import safetensors.numpy

from .native import core
from .state import FORMAT_VERSION as STATE_FORMAT
from .state import UnitState

if TYPE_CHECKING:
    from .result import Audit

__all__ = ["FORMAT", "FORMAT_VERSION", "dump", "in_order", "load", "parse", "pieces"]

FORMAT: Final = "neurocensus.audit"
FORMAT_VERSION: Final = 1

_COUNTS: Final = ("nonzero", "active_examples", "argmax", "nan", "inf")
_REALS: Final = ("max", "min", "mean", "m2", "mean_abs")
_TENSORS: Final = (*_COUNTS, *_REALS, "histogram")
_STATE_NUMBERS: Final[dict[str, type]] = {
    "threshold": float, "examples": int, "values": int, "next_example": int
}  # fmt: skip
_LAYER_FIELDS: Final[dict[str, type]] = {
    "name": str, "kind": str, "unit_axis": int, "unit_rule": str, "example_axis": int, "dtype": str,
    "training": bool, "calls": int, "masked": bool, "state": dict,
}  # fmt: skip
_AUDIT_FIELDS: Final[dict[str, type]] = {
    "model": str, "examples": int, "batches": int, "expected": list, "never_fired": list,
    "threshold": float, "versions": dict, "annotations": dict, "layers": list,
}  # fmt: skip
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def dump(audit: Audit) -> bytes:
    """The file that `save` writes; the same bytes for the same audit."""
    return b"".join(pieces(audit))


def pieces(audit: Audit) -> Iterator[bytes | memoryview]:
    """The file in pieces: its header, then one tensor after another, in the order of the library's writer.

    The library itself wants all of them at once, copied, which are gigabytes where units are millions.
    """
    given = [layer.state for layer in audit.layers.values()]
    states = [state if state.device == "cpu" else state.copy("cpu") for state in given]  # waited for once
    header: dict[str, Any] = {"__metadata__": _metadata(audit, states)}
    tensors = [
        (kind, f"layers.{index}.{field}", state, field)
        for index, state in enumerate(states)
        for kind, fields in ((0, (*_COUNTS, "histogram")), (1, _REALS))
        for field in fields
        if field != "histogram" or state.has_histogram
    ]
    tensors.sort(key=lambda tensor: tensor[:2])
    end = 0
    for kind, name, state, field in tensors:
        length = core.HISTOGRAM_SIZE if field == "histogram" else state.units
        start, end = end, end + 8 * length
        header[name] = {"dtype": ("I64", "F64")[kind], "shape": [length], "data_offsets": [start, end]}
    yield _framed(header)
    for _, _, state, field in tensors:
        yield np.ascontiguousarray(getattr(state, field)).data.cast("B")


def _metadata(audit: Audit, states: Sequence[UnitState]) -> dict[str, str]:
    layers = []
    for layer, state in zip(audit.layers.values(), states, strict=True):
        entry = {field: getattr(layer, field) for field in _LAYER_FIELDS if field != "state"}
        numbers = {field: getattr(state, field) for field in _STATE_NUMBERS}
        layers.append({**entry, "state": {"format_version": STATE_FORMAT, **numbers}})
    body = {
        "model": audit.model,
        "examples": audit.examples,
        "batches": audit.batches,
        "expected": list(audit.expected),
        "never_fired": list(audit.never_fired),
        "threshold": audit.threshold,
        "versions": dict(audit.versions),
        "annotations": dict(audit.annotations),
        "layers": layers,
    }
    if audit.parts:
        body["parts"] = list(audit.parts)
    return {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "audit": json.dumps(body, allow_nan=False),
    }


def in_order(file: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in an order that varies."""
    header, start = _header_of(file)
    return _framed(header) + file[start:]


def _header_of(file: bytes) -> tuple[dict[str, Any], int]:
    """The header of a whole safetensors file, and where the tensors begin.

    Layout: the header's length (8 bytes, little-endian), the header as JSON padded by spaces, the tensors.
    """
    start = 8 + int.from_bytes(file[:8], "little")
    header: dict[str, Any] = json.loads(file[8:start])
    return header, start


def _framed(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text


def load(path: str | os.PathLike[str]) -> Audit:
    """Read an audit that `save` wrote. Needs little memory beside the audit's own.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or not an audit, or of a newer format. Nothing is guessed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected an audit file written by Audit.save, found no such file")
    with _named(str(path)), safetensors.safe_open(path, framework="numpy") as file:
        return _read(file.metadata() or {}, _OpenFile(file))


def parse(content: bytes, name: str = "content") -> Audit:
    """Read what `dump` gave; `name` stands for it in errors.

    Raises:
        TypeError: not bytes.
        ValueError: as `load`.
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name}: expected bytes of Audit.to_bytes, got {type(content).__name__}")
    content = bytes(content)
    with _named(name):
        tensors = safetensors.numpy.load(content)  # checks the header too
        return _read(_header_of(content)[0].get("__metadata__", {}), tensors)


class _StateEntries(Mapping[str, Any]):
    """What `UnitState.to_dict` gave of a layer; its arrays are read when they are asked for, and not kept."""

    def __init__(self, where: str, numbers: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._where, self._numbers, self._tensors = where, numbers, tensors

    def __getitem__(self, name: str) -> Any:
        if name in self._numbers:
            return self._numbers[name]
        if name not in self:
            raise KeyError(name)
        return self._tensors[f"{self._where}.{name}"]

    def __contains__(self, name: object) -> bool:
        return name in self._numbers or f"{self._where}.{name}" in self._tensors

    def __iter__(self) -> Iterator[str]:
        return (name for name in (*self._numbers, *_TENSORS) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _OpenFile(Mapping[str, Any]):
    """The tensors of a file, each read when it is asked for, and not kept."""

    def __init__(self, file: Any) -> None:
        self._file, self._names = file, frozenset(file.keys())

    def __getitem__(self, name: str) -> Any:
        return self._file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextlib.contextmanager
def _named(source: str) -> Iterator[None]:
    """Errors inside name what was read."""
    try:
        yield
    except (safetensors.SafetensorError, TypeError) as error:  # the latter: a dtype that NumPy lacks
        raise _bad(source, f"expected a complete safetensors file, got: {error}") from error
    except _Malformed as error:
        raise _bad(source, str(error)) from error


class _Malformed(Exception):
    """What is wrong inside a file; `_named` adds which file."""


def _bad(source: str, what: str) -> ValueError:
    return ValueError(f"{source}: {what}. Copy the file again, or repeat the audit and save it anew")


def _check_format(metadata: Mapping[str, str]) -> None:
    found = metadata.get("format")
    if found != FORMAT:
        raise _Malformed(f"expected a safetensors file of format '{FORMAT}', got format {found!r}")
    text = metadata.get("format_version", "")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise _Malformed(f"format_version: expected a positive integer, got {text!r}")
    if int(text) > FORMAT_VERSION:
        raise _Malformed(
            f"expected format_version up to {FORMAT_VERSION}, got {text}, written by a newer neurocensus; "
            "upgrade with: pip install --upgrade neurocensus"
        )


def _read(metadata: Mapping[str, str], tensors: Mapping[str, Any]) -> Audit:
    from .result import Audit

    _check_format(metadata)
    try:
        body = json.loads(metadata.get("audit", ""))
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"audit: expected JSON metadata, got: {error}") from error
    fields = _fields("audit", body, _AUDIT_FIELDS)
    for field in ("expected", "never_fired", "versions"):
        values = fields[field].values() if field == "versions" else fields[field]
        if not all(isinstance(value, str) for value in values):
            raise _Malformed(f"audit.{field}: expected text only, got {fields[field]!r}")
    layers = {}
    for index, entry in enumerate(fields.pop("layers")):
        layer = _read_layer(f"layers.{index}", entry, tensors)
        if layer.name in layers:
            raise _Malformed(f"layers.{index}.name: expected each name once, got {layer.name!r} again")
        layers[layer.name] = layer
    known = {f"layers.{index}.{field}" for index in range(len(layers)) for field in _TENSORS}
    if others := set(tensors) - known:
        raise _Malformed(f"expected tensors of {len(layers)} layers, got others too: {sorted(others)[:3]}")
    try:
        return Audit(layers, **fields, parts=_parts(body))
    except (TypeError, ValueError) as error:
        raise _Malformed(str(error)) from error


def _parts(body: Mapping[str, Any]) -> list[str]:
    parts = body.get("parts", [])  # what was never merged has none
    if not isinstance(parts, list) or not all(
        isinstance(part, str) and _DIGEST.fullmatch(part) for part in parts
    ):
        raise _Malformed("audit.parts: expected a list of SHA-256 digests, got something else")
    return parts


def _read_layer(where: str, entry: object, tensors: Mapping[str, Any]) -> Any:
    from .result import LayerAudit

    fields = _fields(where, entry, _LAYER_FIELDS)
    numbers = _fields(f"{where}.state", fields.pop("state"), {"format_version": int, **_STATE_NUMBERS})
    state = _StateEntries(where, numbers, tensors)
    _check_state(where, state)
    try:
        return LayerAudit(state=UnitState.from_dict(state), **fields)
    except (TypeError, ValueError, KeyError) as error:
        raise _Malformed(f"{where}: {error}") from error


def _fields(where: str, entry: object, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a JSON object, each of its kind. Fields that are not asked for are ignored."""
    if not isinstance(entry, dict):
        raise _Malformed(f"{where}: expected a JSON object, got {type(entry).__name__}")
    out = {}
    for field, kind in kinds.items():
        if field not in entry:
            raise _Malformed(f"{where}.{field}: expected {kind.__name__}, found none")
        value: Any = entry[field]
        if kind is float and type(value) is int and abs(value) < 2**63:
            value = float(value)
        if type(value) is not kind:  # a bool is no int here
            raise _Malformed(f"{where}.{field}: expected {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, int) and not 0 <= value < 2**63:
            raise _Malformed(f"{where}.{field}: expected an integer from 0 to 2**63 - 1, got {value}")
        out[field] = value
    return out


def _check_state(where: str, state: Mapping[str, Any]) -> None:
    """Raise unless the entries are a state that some data could have made."""
    for field in (*_COUNTS, *_REALS):
        if field not in state:
            raise _Malformed(f"{where}.{field}: expected a tensor, found none")
    shape = state["max"].shape
    if len(shape) != 1 or shape[0] < 1:
        raise _Malformed(f"{where}.max: expected shape (units,), got {shape}")
    for field in (field for field in _TENSORS if field in state):
        array = state[field]
        dtype = np.dtype("float64" if field in _REALS else "int64")
        if array.dtype != dtype:
            raise _Malformed(f"{where}.{field}: expected {dtype}, got {array.dtype}")
        if field != "histogram" and array.shape != shape:
            raise _Malformed(f"{where}.{field}: expected shape {shape}, got {array.shape}")

    values, examples, next_example = (state[field] for field in ("values", "examples", "next_example"))
    finite = values - state["nan"] - state["inf"]
    some = finite > 0
    laws = {
        "examples": min(values, 1) <= examples <= min(values, next_example),
        "nan": ((state["nan"] >= 0) & (state["nan"] <= values)).all(),
        "inf": ((state["inf"] >= 0) & (state["inf"] <= values - state["nan"])).all(),
        "nonzero": ((state["nonzero"] >= 0) & (state["nonzero"] <= finite)).all(),
        "active_examples": (
            (state["active_examples"] >= 0)
            & (state["active_examples"] <= np.minimum(state["nonzero"], examples))
        ).all(),
        "argmax": ((state["argmax"] >= np.where(some, 0, -1)) & (state["argmax"] < next_example)).all()
        and (state["argmax"][~some] == -1).all(),
        "max": np.isfinite(state["max"][some]).all() and (state["max"][~some] == -np.inf).all(),
        "min": (state["min"][some] <= state["max"][some]).all() and (state["min"][~some] == np.inf).all(),
        "m2": not (state["m2"] < 0).any(),
        "mean_abs": not (state["mean_abs"] < 0).any(),
        "histogram": "histogram" not in state
        or ((state["histogram"] >= 0).all() and state["histogram"].sum() == finite.sum()),
    }
    for field, holds in laws.items():
        if not holds:
            raise _Malformed(f"{where}.{field}: expected numbers that data can give, got impossible ones")
