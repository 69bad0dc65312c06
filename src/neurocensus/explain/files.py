"""Files of arrays: written atomically, read with suspicion, never unpickled. They need no torch.

Each is one safetensors file, whose metadata say what it is (``format``, ``format_version``) and hold a JSON
object (``body``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from .. import storage

FORMAT_VERSION: Final = 1
Arrays = dict[str, npt.NDArray[Any]]


def write(
    path: str | os.PathLike[str], kind: str, arrays: Mapping[str, npt.NDArray[Any]], body: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON object to one file; readers see the old file or the new one.

    Raises:
        FileNotFoundError, ValueError, OSError: as `storage.atomic`.
    """
    storage.write_bytes(path, dump(kind, arrays, body))


def dump(kind: str, arrays: Mapping[str, npt.NDArray[Any]], body: Mapping[str, Any]) -> bytes:
    """The file that `write` writes; the same bytes for the same content."""
    metadata = {
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "body": json.dumps(body, allow_nan=False),
    }
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return storage._in_order(safetensors.numpy.save(packed, metadata))


def read(path: str | os.PathLike[str], kind: str) -> tuple[Arrays, dict[str, Any]]:
    """What `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, something else, or of a newer format. Nothing is guessed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected a file of format '{kind}', found no such file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            body = _body(file.metadata() or {}, kind)
            return {name: file.get_tensor(name) for name in file.keys()}, body  # noqa: SIM118
    except (safetensors.SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a whole file of format '{kind}', got: {error}") from error


def _body(metadata: Mapping[str, str], kind: str) -> dict[str, Any]:
    if metadata.get("format") != kind:
        raise ValueError(f"format {metadata.get('format')!r}")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise ValueError(
            f"format_version {metadata.get('format_version')!r}, where this neurocensus knows "
            f"{FORMAT_VERSION}; upgrade with: pip install --upgrade neurocensus"
        )
    body = json.loads(metadata.get("body", ""))
    if not isinstance(body, dict):
        raise ValueError("a body that is no JSON object")
    return body
