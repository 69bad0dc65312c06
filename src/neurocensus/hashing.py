"""A hash of tensors by name: the same for the same content, in any process and on any device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy


class Digest:
    """SHA-256 of parts, each with its length, so that no two lists of parts run into one another."""

    def __init__(self, what: str) -> None:
        self._hash = hashlib.sha256()
        self.add(what)

    def add(self, part: str) -> None:
        """Add a text."""
        self._add(part.encode("utf-8", "surrogateescape"))

    def add_tensors(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Add tensors with their names, dtypes, shapes and bits.

        Raises:
            ValueError: a lazy parameter, which has no values yet.
        """
        for name, tensor in tensors:
            if is_lazy(tensor):
                raise ValueError(f"{name} is a lazy parameter without values; run the model on a batch first")
            self.add(f"{name} {tensor.dtype} {tuple(tensor.shape)}")
            flat = tensor.detach().cpu().contiguous().flatten()
            self._add(flat.view(torch.uint8).numpy().data if flat.numel() else b"")

    def hex(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()

    def _add(self, part: bytes | memoryview) -> None:
        self._hash.update(len(part).to_bytes(8, "little"))
        self._hash.update(part)
