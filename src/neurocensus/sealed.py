"""Safetensors files that say what they are and are known to be unchanged. Nothing is unpickled.

The metadata hold a ``format``, a ``format_version``, a JSON object (``body``) and a CRC-32 of that and of all
arrays: safetensors itself notices a file that is cut short, but not one that was changed. What an array is,
NumPy's or torch's, is for the caller to say, so that this needs no torch.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from safetensors import SafetensorError, safe_open

FORMAT_VERSION: Final = 1


class Part(NamedTuple):
    """An array as the checksum sees it."""

    name: str
    form: str
    """Its dtype and shape, as text."""
    content: memoryview
    """Its bytes, in C order."""


def metadata(kind: str, body: Mapping[str, Any], parts: Iterable[Part]) -> dict[str, str]:
    """The metadata of a file of format `kind` with these arrays, in whatever order."""
    written = json.dumps(body, allow_nan=False)
    return {
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "body": written,
        "crc32": _checksum(written, parts),
    }


def read(
    path: str | os.PathLike[str],
    kind: str,
    framework: Literal["numpy", "pt"],
    part_of: Callable[[str, Any], Part],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays by name, of the framework, and the body of a file of format `kind`.

    Args:
        part_of: what the checksum sees of a name and its array, as it was for `metadata`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, something else, or of a newer format. Nothing is guessed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected a file of format '{kind}', found no such file")
    try:
        with safe_open(path, framework=framework) as file:
            found = file.metadata() or {}
            body = _body(found, kind)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _checksum(found["body"], (part_of(*item) for item in arrays.items())) != found.get("crc32"):
            raise ValueError("one whose content has changed since it was written (wrong checksum)")
    except (SafetensorError, TypeError, ValueError, RecursionError) as error:
        # A TypeError is of a dtype that NumPy lacks.
        raise ValueError(f"{path}: expected a whole file of format '{kind}', got: {error}") from error
    return arrays, body


def peek(path: str | os.PathLike[str], kind: str) -> dict[str, Any] | None:
    """The body alone, the arrays unread and unchecked; None if there is no such file, or a damaged one."""
    try:
        with safe_open(path, framework="numpy") as file:
            return _body(file.metadata() or {}, kind)
    except (OSError, SafetensorError, ValueError, RecursionError):
        return None


def _body(found: Mapping[str, str], kind: str) -> dict[str, Any]:
    if found.get("format") != kind:
        raise ValueError(f"format {found.get('format')!r}")
    if found.get("format_version") != str(FORMAT_VERSION):
        raise ValueError(
            f"format_version {found.get('format_version')!r}, where this neurocensus knows "
            f"{FORMAT_VERSION}; upgrade with: pip install --upgrade neurocensus"
        )
    body = json.loads(found.get("body", ""))
    if not isinstance(body, dict):
        raise ValueError("a body that is no JSON object")
    return body


def _checksum(body: str, parts: Iterable[Part]) -> str:
    crc = zlib.crc32(body.encode())
    for part in sorted(parts, key=lambda part: part.name):
        crc = zlib.crc32(f"{part.name} {part.form}".encode(), crc)
        crc = zlib.crc32(part.content, crc)
    return f"{crc:08x}"
