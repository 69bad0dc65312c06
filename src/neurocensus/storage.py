"""Files: written atomically, read with suspicion.

An audit is one safetensors file: the states' arrays as tensors ``layers.<index>.<field>``, everything
else as JSON in the file's metadata. Layers are numbered, so that a name may be anything. Nothing is
ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors
import safetensors.numpy

from .state import UnitState

if TYPE_CHECKING:
    from .result import Audit

FORMAT: Final = "neurocensus.audit"
FORMAT_VERSION: Final = 1

_COUNTS: Final = ("nonzero", "active_examples", "argmax", "nan", "inf")
_REALS: Final = ("max", "min", "mean", "m2", "mean_abs")
_STATE_FIELDS: Final[dict[str, type]] = {
    "examples": int,
    "values": int,
    "next_example": int,
    "threshold": float,
}
_LAYER_FIELDS: Final[dict[str, type]] = {
    "name": str, "kind": str, "unit_axis": int, "unit_rule": str, "example_axis": int, "dtype": str,
    "training": bool, "calls": int, "masked": bool, "state": dict,
}  # fmt: skip
_AUDIT_FIELDS: Final[dict[str, type]] = {
    "model": str, "examples": int, "batches": int, "expected": list, "never_fired": list,
    "threshold": float, "versions": dict, "annotations": dict, "layers": list,
}  # fmt: skip


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` if the block succeeds.

    Readers see the old file or the new one, never a part. On failure the old file is as it was and the
    temporary one is gone. A symbolic link is followed; permissions of a replaced file are kept.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: `path` is something else than a regular file (a folder, a device).
        OSError: no permission, a full disk; named by `path`.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {target.parent} does not exist; create it first")
    if target.exists() and not target.is_file():
        raise ValueError(f"{path}: expected the path of a file, got a folder or a device; name a file in it")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        permissions = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        temporary.chmod(permissions)  # some writers make their files private
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise  # not about this file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically (see `atomic`). Lone surrogates become ``?``: a name may hold any."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes atomically (see `atomic`)."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def save(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Write an audit to one safetensors file, atomically. `load` gives it back bit for bit.

    Raises:
        FileNotFoundError, ValueError: as `atomic`.
    """
    write_bytes(path, dump(audit))


def dump(audit: Audit) -> bytes:
    """The file that `save` writes; the same bytes for the same audit."""
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    layers = []
    for index, layer in enumerate(audit.layers.values()):
        scalars: dict[str, Any] = {}
        for field, value in layer.state.to_dict().items():
            if isinstance(value, np.ndarray):
                tensors[f"layers.{index}.{field}"] = np.ascontiguousarray(value)
            else:
                scalars[field] = value
        meta = {field: getattr(layer, field) for field in _LAYER_FIELDS if field != "state"}
        layers.append({**meta, "state": scalars})
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
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "audit": json.dumps(body, allow_nan=False),
    }
    return in_order(safetensors.numpy.save(tensors, metadata))


def in_order(file: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in an order that varies.

    Layout: the header's length (8 bytes, little-endian), the header as JSON padded by spaces, the tensors.
    """
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + file[start:]


def load(path: str | os.PathLike[str]) -> Audit:
    """Read an audit that `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or not an audit, or of a newer format. Nothing is guessed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected an audit file written by Audit.save, found no such file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_format(metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _read(metadata, tensors)
    except (safetensors.SafetensorError, TypeError) as error:  # the latter: a dtype that NumPy lacks
        raise _bad(path, f"expected a complete safetensors file, got: {error}") from error
    except _Malformed as error:
        raise _bad(path, str(error)) from error


class _Malformed(Exception):
    """What is wrong inside a file; `load` adds which file."""


def _bad(path: str | os.PathLike[str], what: str) -> ValueError:
    return ValueError(f"{path}: {what}. Copy the file again, or repeat the audit and save it anew")


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


def _read(metadata: Mapping[str, str], tensors: dict[str, Any]) -> Audit:
    from .result import Audit

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
    if tensors:
        raise _Malformed(f"expected tensors of {len(layers)} layers, got others too: {sorted(tensors)[:3]}")
    try:
        return Audit(layers, **fields)
    except (TypeError, ValueError) as error:
        raise _Malformed(str(error)) from error


def _read_layer(where: str, entry: object, tensors: dict[str, Any]) -> Any:
    from .result import LayerAudit

    fields = _fields(where, entry, _LAYER_FIELDS)
    scalars = fields.pop("state")
    arrays = {
        field: tensors.pop(f"{where}.{field}")
        for field in (*_COUNTS, *_REALS, "histogram")
        if f"{where}.{field}" in tensors
    }
    _check_state(where, scalars, arrays)
    try:
        return LayerAudit(state=UnitState.from_dict({**scalars, **arrays}), **fields)
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


def _check_state(where: str, scalars: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Raise unless the arrays are a state that some data could have made."""
    numbers = _fields(where, scalars, _STATE_FIELDS)
    for field in (*_COUNTS, *_REALS):
        if field not in arrays:
            raise _Malformed(f"{where}.{field}: expected a tensor, found none")
    units = len(arrays["max"]) if arrays["max"].ndim == 1 else 0
    if units < 1:
        raise _Malformed(f"{where}.max: expected shape (units,), got {arrays['max'].shape}")
    for field, array in arrays.items():
        dtype = np.dtype("float64" if field in _REALS else "int64")
        if array.dtype != dtype:
            raise _Malformed(f"{where}.{field}: expected {dtype}, got {array.dtype}")
        if field != "histogram" and array.shape != (units,):
            raise _Malformed(f"{where}.{field}: expected shape ({units},), got {array.shape}")

    values, examples = numbers["values"], numbers["examples"]
    finite = values - arrays["nan"] - arrays["inf"]
    some = finite > 0
    laws = {
        "examples": min(values, 1) <= examples <= min(values, numbers["next_example"]),
        "nan": ((arrays["nan"] >= 0) & (arrays["nan"] <= values)).all(),
        "inf": ((arrays["inf"] >= 0) & (arrays["inf"] <= values - arrays["nan"])).all(),
        "nonzero": ((arrays["nonzero"] >= 0) & (arrays["nonzero"] <= finite)).all(),
        "active_examples": (
            (arrays["active_examples"] >= 0)
            & (arrays["active_examples"] <= np.minimum(arrays["nonzero"], examples))
        ).all(),
        "argmax": (
            (arrays["argmax"] >= np.where(some, 0, -1)) & (arrays["argmax"] < numbers["next_example"])
        ).all()
        and (arrays["argmax"][~some] == -1).all(),
        "max": np.isfinite(arrays["max"][some]).all() and (arrays["max"][~some] == -np.inf).all(),
        "min": (arrays["min"][some] <= arrays["max"][some]).all() and (arrays["min"][~some] == np.inf).all(),
        "m2": not (arrays["m2"] < 0).any(),
        "mean_abs": not (arrays["mean_abs"] < 0).any(),
        "histogram": "histogram" not in arrays
        or ((arrays["histogram"] >= 0).all() and arrays["histogram"].sum() == finite.sum()),
    }
    for field, holds in laws.items():
        if not holds:
            raise _Malformed(f"{where}.{field}: expected numbers that data can give, got impossible ones")


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the file system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
