"""Files of tensors: written atomically with a checksum, read with suspicion, never unpickled.

Each is one safetensors file. Its metadata say what it is (``format``, ``format_version``), hold a JSON object
(``body``) and a CRC-32 of both, `_checksum`: safetensors itself notices a truncated file, but not a changed
one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .. import storage

FORMAT_VERSION: Final = 1


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], body: Mapping[str, Any]) -> None:
    """Write `tensors`, from any device, and `body` to one file; readers see the old file or the new one.

    Raises:
        OSError: a full disk, no permission. The old file is as it was.
    """
    packed = _packed(tensors)
    metadata = {
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "body": (text := json.dumps(body, allow_nan=False)),
        "crc32": _checksum(text, packed),
    }
    storage.write_bytes(path, save(packed, metadata))


def read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write` wrote, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or something else. Nothing is guessed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            body = _body(metadata, kind)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if _checksum(metadata["body"], tensors) != metadata.get("crc32"):
                raise ValueError("one whose content has changed since it was written (wrong checksum)")
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a whole file of format '{kind}', got: {error}") from error
    return tensors, body


def peek(path: Path, kind: str) -> dict[str, Any] | None:
    """The body of a file alone, its tensors unread; None if there is no such file, or a damaged one."""
    try:
        with safe_open(path, framework="pt") as file:
            return _body(file.metadata() or {}, kind)
    except (OSError, SafetensorError, ValueError, RecursionError):
        return None


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


def _packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, and none sharing memory with another, as safetensors wants them."""
    packed: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        address = tensor.untyped_storage().data_ptr()
        packed[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return packed


def _checksum(body: str, tensors: Mapping[str, Tensor]) -> str:
    """Of the body, and of each tensor's name, type, shape and bytes, in the order of the names."""
    crc = zlib.crc32(body.encode())
    for name, tensor in sorted(tensors.items()):
        crc = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), crc)
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"
