"""Collectives over NumPy arrays and texts, on whatever device the group's backend needs them."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from .group import Group
from .meeting import Meeting

Array = TypeVar("Array", bound=npt.NDArray[Any])
How = Literal["sum", "max", "min"]


class Exchange:
    """What ranks that have met tell one another. All make the same calls in the same order.

    Args:
        group: the ranks.
        meeting: where they are, so that none waits for one that is gone.
    """

    def __init__(self, group: Group, meeting: Meeting) -> None:
        self._group, self._meeting = group, meeting

    def texts(self, mine: str) -> list[str]:
        """The text of each rank, by rank. Sent as bytes and not as objects, which would be unpickled."""
        content = np.frombuffer(mine.encode(), np.uint8)
        lengths = [int(length[0]) for length in self._all(np.array([len(content)], np.int64))]
        padded = np.zeros(max(lengths), np.uint8)
        padded[: len(content)] = content
        parts = zip(self._all(padded), lengths, strict=True)
        return [part[:length].tobytes().decode() for part, length in parts]

    def reduce(self, mine: Array, how: How) -> Array:
        """Element by element over all ranks; `mine` (int64 or float64) may be overwritten.

        An all-reduce hands one result to all ranks: the same bits on each, sums of floats too.
        """
        tensor = torch.from_numpy(mine).to(self._group.device)
        operation = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}[how]
        self._meeting.wait(lambda: dist.all_reduce(tensor, operation, self._group.handle, async_op=True))
        return cast(Array, tensor.cpu().numpy())

    def _all(self, mine: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        tensor = torch.from_numpy(mine).to(self._group.device)
        parts = [torch.empty_like(tensor) for _ in self._group.ranks]
        self._meeting.wait(lambda: dist.all_gather(parts, tensor, self._group.handle, async_op=True))
        return [part.cpu().numpy() for part in parts]
