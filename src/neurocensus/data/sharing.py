"""What each of several processes takes of a loader's batches: all of them together take every one once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from ..batches import cut, examples_in
from ..distributed.sampling import own_examples, part
from ..resuming.carried import Saved
from ..resuming.stream import checksum
from .indexed import Indexed, Part

Order = Literal["consecutive", "interleaved", "given"]
Announce = Callable[[Any], list[Any]]
"""Gives what each process said, by rank; as JSON."""


@dataclass(frozen=True)
class Share:
    """What one process takes.

    order: how its examples are numbered in the whole: "consecutive", after those of the processes before;
        "interleaved", dealt one by one; "given", by `first_example`, which is asked after each batch.
    """

    batches: Iterable[Any]
    limit: int | None
    """Examples to stop after; None: at the end. 0: there is nothing for this process."""
    order: Order = "consecutive"
    first_example: Callable[[], int] | None = None


def share(
    batches: Iterable[Any], rank: int, size: int, announce: Announce, max_examples: int | None = None
) -> Share:
    """The share of process `rank` of `size`. All of them call this, with the same arguments.

    Batches stay whole, so that the model gets the same ones as in a single process, and gives the same bits.

    - Batches of our own, and those of a DataLoader over a data set with an index: a run of batches for each
      process, which reads no others. The order of a DataLoader's sampler is that of the first process.
    - A DataLoader with a `torch.utils.data.DistributedSampler`: what that gives, without its repeats.
    - Other iterables: every process iterates all of it, and takes one batch in `size` (`Dealt`).

    Args:
        max_examples: of all processes together.

    Raises:
        ValueError: a sampler that deals to other processes than these, or repeats in a way that is not known.
    """
    if isinstance(batches, Indexed):
        return _of_indexed(batches, rank, size, max_examples)
    if isinstance(batches, DataLoader):
        own = own_examples(batches)
        if own is not None:
            _check_sampler(batches, rank, size)
            most = None if max_examples is None else len(range(rank, max_examples, size))
            return Share(batches, own if most is None else min(own, most), "interleaved")
        if _has_index(batches):
            return _of_loader(batches, rank, size, announce, max_examples)
    dealt = Dealt(batches, rank, size, max_examples)
    return Share(dealt, None, "given", lambda: dealt.first_example)


def _of_indexed(batches: Indexed, rank: int, size: int, max_examples: int | None) -> Share:
    total = batches.examples if max_examples is None else min(batches.examples, max_examples)
    span = part(-(-total // batches.batch_size), rank, size)
    examples = max(0, min(span.stop * batches.batch_size, total) - span.start * batches.batch_size)
    return Share(Part(batches, span), None if examples and max_examples is None else examples)


def _has_index(loader: DataLoader[Any]) -> bool:
    """Whether it can be made anew over some of its batches, and is no class of the user's own."""
    known = type(loader) is DataLoader and loader.batch_sampler is not None
    return known and not isinstance(loader.dataset, IterableDataset)


def _of_loader(
    loader: DataLoader[Any], rank: int, size: int, announce: Announce, max_examples: int | None
) -> Share:
    assert loader.batch_sampler is not None
    batches: list[list[Any]] = announce(_drawn(loader, max_examples) if rank == 0 else [])[0]
    ends = [0, *accumulate(map(len, batches))]
    span = part(len(batches), rank, size)
    total = ends[-1] if max_examples is None else min(ends[-1], max_examples)
    examples = max(0, min(ends[span.stop], total) - ends[span.start])
    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context",
            "generator", "prefetch_factor", "persistent_workers",
        )
    }  # fmt: skip
    mine = DataLoader(loader.dataset, batch_sampler=batches[span.start : span.stop], **options)
    return Share(mine, None if examples and max_examples is None else examples)


class _Indices(Dataset[Any]):
    """Each example is its index."""

    def __getitem__(self, index: Any) -> Any:
        return index if isinstance(index, str) else int(index)


def _drawn(loader: DataLoader[Any], max_examples: int | None) -> list[list[Any]]:
    """The indices of each batch, as far as they are needed, and as iterating `loader` would draw them."""
    same = DataLoader(
        _Indices(), batch_sampler=loader.batch_sampler, collate_fn=list, generator=loader.generator
    )
    out: list[list[Any]] = []
    examples = 0
    for batch in same:
        if max_examples is not None and examples >= max_examples:
            break
        out.append(batch)
        examples += len(batch)
    return out


def _check_sampler(loader: DataLoader[Any], rank: int, size: int) -> None:
    batches = loader.batch_sampler
    sampler: Any = batches.sampler if isinstance(batches, BatchSampler) else loader.sampler
    if (sampler.rank, sampler.num_replicas) != (rank, size):
        raise ValueError(
            f"data: expected a {type(sampler).__name__} for process {rank} of {size}, got one for "
            f"{sampler.rank} of {sampler.num_replicas}; make it without rank and num_replicas"
        )


class Dealt:
    """One batch in `size` of a loader that can only be iterated; process 0 takes the first.

    All processes must be given the same batches, in the same order: compare `seen` at the end.

    Attributes:
        first_example: number of the first example of the batch that was given last.
        seen: batches, examples and a checksum of all that went by, taken or not.
    """

    def __init__(self, batches: Iterable[Any], rank: int, size: int, max_examples: int | None) -> None:
        self._batches, self._rank, self._size = batches, rank, size
        self._most = max_examples
        self.first_example = 0
        self.seen: tuple[int, ...] = (0, 0, 0)

    def save(self) -> Saved:
        """What was seen; see `neurocensus.resuming.carried.Carried`."""
        return Saved(self.seen)

    def restore(self, *parts: Saved) -> None:
        """Have seen what one part did: nothing may be left to iterate."""
        (part,) = parts
        self.seen = tuple(part.values)

    def __iter__(self) -> Iterator[Any]:
        examples = crc = 0
        for number, batch in enumerate(self._batches):
            size = examples_in(batch, 0)
            if size is None:
                raise TypeError(
                    f"data: expected batches of tensors, got {type(batch).__name__}, whose examples cannot "
                    "be numbered by all; run one process, or give a DataLoader over a data set with an index"
                )
            self.first_example, left = examples, None if self._most is None else self._most - examples
            examples += size if left is None else min(size, left)
            crc = checksum(batch, crc)
            self.seen = (number + 1, examples, crc)
            if number % self._size == self._rank:
                yield batch if left is None or size <= left else cut(batch, left, size, 0)
            if examples == self._most:
                return


def check_dealt(seen: Sequence[Sequence[int]]) -> None:
    """Raise unless all processes saw the same batches go by.

    Args:
        seen: `Dealt.seen` of each process.

    Raises:
        ValueError: some batches were counted by none or by several.
    """
    for rank, other in enumerate(seen):
        if list(other) != list(seen[0]):
            raise ValueError(
                f"data: expected the same batches in every process, got {seen[0][0]} batches of {seen[0][1]} "
                f"examples in process 0 and {other[0]} of {other[1]} in process {rank}"
                + (", others" if list(other[:2]) == list(seen[0][:2]) else "")
                + "; give them a fixed order (a seed), or give a DataLoader over a data set with an index"
            )
