"""Each example once: contiguous parts of a data set, and samplers that repeat some to even out the ranks.

`torch.utils.data.DistributedSampler` gives all ranks the same number of examples: where the data do not
divide evenly, it repeats some at the end. For training that is harmless; a census would count them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from ..arguments import integer

_WAYS_OUT = (
    "some would be counted twice. Use torch.utils.data.DistributedSampler (with drop_last=True, if it is "
    "sampled in a way of its own), or split the data without repeats: neurocensus.distributed.part"
)


def part(n: int, rank: int, world_size: int) -> range:
    """The indices of one rank's share of `n` examples: contiguous, without repeats, as even as can be.

    The shares of ranks 0, 1, ... follow one another and cover all; the first ones have one more where they
    must. ``part(...).start`` is what `gather` takes as `start`.

    Raises:
        TypeError: no integers.
        ValueError: a negative number, no processes, or a rank that is not among them.
    """
    n, world_size = integer("n", n, 0), integer("world_size", world_size, 1)
    rank = integer("rank", rank, 0)
    if rank >= world_size:
        raise ValueError(f"rank: expected less than world_size={world_size}, got {rank}")
    each, more = divmod(n, world_size)
    first = rank * each + min(rank, more)
    return range(first, first + each + (rank < more))


def own_examples(source: Any) -> int | None:
    """How many examples a loader gives this rank before it repeats any. They come first.

    Args:
        source: a DataLoader, a sampler or a batch sampler; anything else is passed.

    Returns:
        Their number; None where no `DistributedSampler` is behind it, and nothing that evens out ranks. What
        is drawn with replacement is drawn so on purpose, and None too.

    Raises:
        ValueError: ranks are evened out by repeats, and which examples those are is not known here.
    """
    sampler, batches = _behind(source)
    _refuse_accelerate(batches, getattr(source, "dataset", None))
    if not _deals(sampler):
        return None
    if not _is_plain(sampler):
        if _repeats(sampler):
            kind = type(sampler).__name__
            raise ValueError(f"sampler: {kind} repeats examples so that all ranks have as many; {_WAYS_OUT}")
        return None
    if _repeats(sampler):
        _check_order(source, batches)
    mine = len(range(sampler.rank, min(sampler.total_size, len(sampler.dataset)), sampler.num_replicas))
    if isinstance(batches, BatchSampler) and batches.drop_last:
        mine = min(mine, len(sampler) // batches.batch_size * batches.batch_size)
    return mine


def once(loader: Iterable[Any]) -> Iterator[tuple[Any, Tensor | None]]:
    """The batches of a loader, each with what of it to count; every example of the data is kept once.

    ::

        for batch, keep in once(loader):
            auditor.mask = keep
            model(batch)

    For loops in which all ranks have to make the same forwards (FSDP). `neurocensus.audit` needs it not: it
    leaves out what is repeated.

    Args:
        loader: a DataLoader; anything else is passed through.

    Yields:
        A batch, and a bool tensor (examples,), False where a `DistributedSampler` repeats an example; None
        where it repeats none.

    Raises:
        ValueError: as `own_examples`.
    """
    own = own_examples(loader)
    sampler, batches = _behind(loader)
    if own is None or not _repeats(sampler):
        for batch in loader:
            yield batch, None
        return
    given = 0
    for batch in loader:
        end = min(given + batches.batch_size, len(sampler))
        yield batch, None if end <= own else torch.arange(given, end) < own
        given = end


def _behind(source: Any) -> tuple[Any, Any]:
    """The sampler behind a loader or batch sampler, and the batch sampler, or None."""
    if isinstance(source, DataLoader):
        if source.batch_sampler is None:
            return source.sampler, None
        source = source.batch_sampler
    if hasattr(source, "sampler"):
        return source.sampler, source
    return (None, source) if isinstance(source, BatchSampler) else (source, None)


def _deals(sampler: Any) -> bool:
    """Whether it deals a data set out to ranks."""
    return hasattr(sampler, "num_replicas") and hasattr(sampler, "rank")


def _is_plain(sampler: Any) -> bool:
    """Whether it deals as torch does: position p of the order is for rank p % W, and repeats come last."""
    return isinstance(sampler, DistributedSampler) and type(sampler).__iter__ is DistributedSampler.__iter__


def _repeats(sampler: Any) -> bool:
    """Whether the ranks together are given more examples than there are."""
    try:
        there = len(sampler.dataset)
    except (AttributeError, TypeError):  # no data set to compare with
        return True
    total = getattr(sampler, "total_size", None)
    return bool((len(sampler) * sampler.num_replicas if total is None else total) > there)


def _check_order(source: Any, batches: Any) -> None:
    """Raise unless batches are consecutive runs of what the sampler gives."""
    if isinstance(source, DataLoader) and batches is None:
        raise ValueError(
            "loader: with batch_size=None it is not known how many examples an index stands for, and its "
            f"DistributedSampler repeats indices; {_WAYS_OUT}"
        )
    if batches is not None and type(batches).__iter__ is not BatchSampler.__iter__:
        kind = type(batches).__name__
        raise ValueError(
            f"batch_sampler: it is not known in which order {kind} gives the examples of its "
            f"DistributedSampler, which repeats some; {_WAYS_OUT}"
        )
    if not getattr(source, "in_order", True):
        raise ValueError(
            "loader: expected one that keeps the order, got in_order=False, and its DistributedSampler "
            f"repeats examples; {_WAYS_OUT}"
        )


def _refuse_accelerate(*shards: Any) -> None:
    """Accelerate deals whole batches, and fills the last round up with examples of the first batches."""
    for shard in shards:
        evens_out = getattr(shard, "even_batches", not getattr(shard, "drop_last", True))
        if getattr(shard, "num_processes", 1) > 1 and evens_out:
            raise ValueError(
                f"loader: {type(shard).__name__} of Accelerate repeats examples so that all ranks have as "
                f"many; prepare the loader with even_batches=False. Else {_WAYS_OUT}"
            )
