"""Files of tensors, written atomically; what they say of themselves is in `neurocensus.sealed`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .. import sealed, storage


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], body: Mapping[str, Any]) -> None:
    """Write `tensors`, from any device, and `body` to one file; readers see the old file or the new one.

    Raises:
        OSError: a full disk, no permission. The old file is as it was.
    """
    packed = _packed(tensors)
    metadata = sealed.metadata(kind, body, (_part(name, tensor) for name, tensor in packed.items()))
    storage.write_bytes(path, save(packed, metadata))


def read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write` wrote, on the CPU.

    Raises:
        FileNotFoundError, ValueError: as `sealed.read`.
    """
    return sealed.read(path, kind, "pt", _part)


def peek(path: Path, kind: str) -> dict[str, Any] | None:
    """The body of a file alone, its tensors unread; None if there is no such file, or a damaged one."""
    return sealed.peek(path, kind)


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


def _part(name: str, tensor: Tensor) -> sealed.Part:
    content = tensor.reshape(-1).view(torch.uint8).numpy().data
    return sealed.Part(name, f"{tensor.dtype} {tuple(tensor.shape)}", content)
