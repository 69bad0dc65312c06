"""Batches that can be made one by one, so that some can be left to other processes, or to an earlier run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any


class Indexed(ABC):
    """Batches of a fixed size that are known by their numbers; iterate as often as you like.

    Attributes:
        examples: how many there are in all.
        batch_size: examples in each batch; the last one may be shorter.
    """

    examples: int
    batch_size: int

    @abstractmethod
    def numbered(self, wanted: range) -> Iterator[tuple[int, Any]]:
        """Batches with their numbers. Of the others nothing is read.

        Args:
            wanted: numbers in a row, from 0 to ``len(self)``.
        """

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What the batches depend on, as JSON: two of the same identity give the same ones."""

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        for _, batch in self.numbered(range(len(self))):
            yield batch


class Part(Indexed):
    """Batches in a row of others.

    Args:
        whole: of what.
        span: their numbers there.
    """

    def __init__(self, whole: Indexed, span: range) -> None:
        self._whole, self._span = whole, span
        self.batch_size = whole.batch_size
        stop = min(span.stop * whole.batch_size, whole.examples)
        self.examples = max(0, stop - span.start * whole.batch_size)

    def numbered(self, wanted: range) -> Iterator[tuple[int, Any]]:
        """See `Indexed`."""
        before = self._span.start
        for number, batch in self._whole.numbered(range(before + wanted.start, before + wanted.stop)):
            yield number - before, batch

    def identity(self) -> Mapping[str, Any]:
        """See `Indexed`."""
        return {**self._whole.identity(), "batches": f"{self._span.start} to {self._span.stop}"}
