"""Where the examples of each rank are in the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .facts import Facts

Index = TypeVar("Index", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class Numbering:
    """Example i of a rank is example ``first + i * stride`` of all."""

    first: int
    stride: int = 1

    def place(self, index: Index) -> Index:
        """Its number among all."""
        return self.first + index * self.stride

    def end(self, next_example: int) -> int:
        """One past the highest number, where a rank has come so far; 0 where it has seen nothing."""
        return self.place(next_example - 1) + 1 if next_example else 0


def numberings(everyone: Sequence[Facts]) -> list[Numbering]:
    """That of each rank, as all of them have asked for it (`gather`)."""
    starts = [facts.start for facts in everyone if facts.start is not None]
    if starts:
        return [Numbering(start) for start in starts]
    if everyone[0].order == "interleaved":
        return [Numbering(rank, len(everyone)) for rank in range(len(everyone))]
    return [Numbering(end - facts.size) for facts, end in zip(everyone, _ends(everyone), strict=True)]


def _ends(everyone: Sequence[Facts]) -> list[int]:
    return list(accumulate(facts.size for facts in everyone))


def renumbered(facts: Facts, numbering: Numbering) -> Facts:
    """The facts of a rank with `next_example` as in the whole."""
    layers = [replace(layer, next_example=numbering.end(layer.next_example)) for layer in facts.layers]
    return replace(facts, layers=layers)
