"""Batches of a loader from some batch on, known to be those that come after the ones before."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import length_hint
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..capture.points import tensors_in
from ..data.indexed import Indexed

_SAMPLED = 1 << 14  # values of a tensor that the checksum looks at


class Stream:
    """The batches of a loader that are left when so many were taken.

    Batches of our own (`Indexed`) are begun at any place. Of others the first ones are iterated and dropped;
    they must be those that an earlier run took, or examples would be counted twice and others not at all.

    Args:
        loader: all batches.
        position: how many to leave out.
        checksum: of these, as an earlier run had it.
        then: called when they are left out, before the next batch is asked for.

    Attributes:
        position: batches taken from the loader so far, those left out among them.
        checksum: of these; stays 0 where the loader is one of ours.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        position: int = 0,
        checksum: int = 0,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._loader, self._first, self._wanted, self._then = loader, position, checksum, then
        self.position, self.checksum = position, checksum

    def __length_hint__(self) -> int:
        return max(0, length_hint(self._loader) - self._first)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._loader, Indexed):
            self._then()
            for number, batch in self._loader.numbered(range(self._first, len(self._loader))):
                self.position = number + 1
                yield batch
            return
        self.position = self.checksum = 0
        batches = iter(self._loader)
        for batch in islice(batches, self._first):
            self._take(batch)
        if (self.position, self.checksum) != (self._first, self._wanted):
            got = f"{self.position} in all" if self.position < self._first else "others"
            raise ValueError(
                f"loader: expected the {self._first} batches that were counted before the interruption, got "
                f"{got}: going on would count some examples twice and leave others out. Give the loader a "
                "fixed order (shuffle=False, or a seeded generator), or delete the checkpoint to begin anew"
            )
        self._then()
        for batch in batches:
            self._take(batch)
            yield batch

    def _take(self, batch: Any) -> None:
        self.checksum = checksum(batch, self.checksum)
        self.position += 1


def checksum(batch: Any, before: int = 0) -> int:
    """CRC-32 of what a batch holds, going on from that of the batches before.

    Of large tensors a sample is looked at: that finds examples in another order, not every changed number.
    """
    crc = before
    if isinstance(batch, Mapping):
        for key, item in batch.items():
            crc = checksum(item, checksum(str(key), crc))
    elif isinstance(batch, (list, tuple)):
        crc = _text(f"{len(batch)}", crc)
        for item in batch:
            crc = checksum(item, crc)
    elif isinstance(batch, (Tensor, np.ndarray)):
        crc = _tensor(torch.as_tensor(batch) if _numeric(batch) else None, crc)
    elif batch is None or isinstance(batch, (str, bytes, bool, int, float)):
        crc = _text(repr(batch), crc)
    else:
        for tensor in tensors_in(batch):
            crc = _tensor(tensor, crc)
    return crc


def _numeric(array: Tensor | np.ndarray[Any, Any]) -> bool:
    return isinstance(array, Tensor) or array.dtype.kind in "biufc"


def _tensor(tensor: Tensor | None, crc: int) -> int:
    if tensor is None:
        return crc
    crc = _text(f"{tensor.dtype} {tuple(tensor.shape)}", crc)
    if tensor.layout is not torch.strided or tensor.is_quantized or not tensor.numel():
        return crc
    flat = tensor.detach().reshape(-1)
    sample = flat[:: -(-len(flat) // _SAMPLED)].cpu().contiguous()
    return zlib.crc32(sample.view(torch.uint8).numpy().data, crc)


def _text(text: str, crc: int) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogateescape"), crc)
