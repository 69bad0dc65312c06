"""Every example is for one process, and for one only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, TensorDataset

from neurocensus.data.arrays import ArrayBatches
from neurocensus.data.sharing import Share, check_dealt, share


class Stream(IterableDataset[Tensor]):
    def __init__(self, examples: int) -> None:
        self.examples = examples

    def __iter__(self) -> Any:
        yield from torch.arange(self.examples)


class OwnKind(DataLoader[Any]):
    pass


def made(kind: str, examples: int, size: int) -> Any:
    x = torch.arange(examples)
    if kind == "arrays":
        return ArrayBatches(x.numpy(), batch_size=size)
    if kind == "stream":
        return DataLoader(Stream(examples), size)
    if kind == "own kind":
        return OwnKind(TensorDataset(x), size)
    if kind == "list":
        return list(x.split(size))
    generator = torch.Generator().manual_seed(5) if kind == "shuffled" else None
    return DataLoader(TensorDataset(x), size, shuffle=kind == "shuffled", generator=generator)


def shares(kind: str, examples: int, size: int, processes: int, most: int | None) -> list[Share]:
    said: list[Any] = []

    def announce(mine: Any) -> list[Any]:
        said.append(mine)
        return said

    return [share(made(kind, examples, size), rank, processes, announce, most) for rank in range(processes)]


def numbers(batch: Any) -> list[int]:
    out: list[int] = (batch if isinstance(batch, Tensor) else batch[0]).tolist()
    return out


def given_to(mine: Share) -> list[list[int]]:
    """The batches of a process, cut where it is to stop."""
    out: list[list[int]] = []
    if mine.limit == 0:
        return out
    for batch in mine.batches:
        left = None if mine.limit is None else mine.limit - sum(map(len, out))
        if left == 0:
            break
        out.append(numbers(batch)[:left])
        if mine.first_example is not None:
            assert mine.first_example() == out[-1][0]
    return out


@pytest.mark.parametrize("kind", ["arrays", "in order", "shuffled", "stream", "own kind", "list"])
@given(st.integers(1, 25), st.integers(1, 6), st.integers(1, 5), st.none() | st.integers(1, 30))
def test_all_of_it_once_in_the_same_batches(
    kind: str, examples: int, size: int, processes: int, most: int | None
) -> None:
    wanted = []
    for batch in map(numbers, made(kind, examples, size)):
        wanted.append(batch[: None if most is None else max(0, most - sum(map(len, wanted)))])
    wanted = list(filter(None, wanted))
    all_shares = shares(kind, examples, size, processes, most)
    found = [given_to(mine) for mine in all_shares]
    if all_shares[0].order == "given":
        assert sorted(batch for batches in found for batch in batches) == wanted
        check_dealt([mine.batches.seen for mine in all_shares])  # type: ignore[attr-defined]
    else:
        assert [batch for batches in found for batch in batches] == wanted
        fewest, largest = min(map(len, found)), max(map(len, found))
        assert largest - fewest <= 1


@given(st.integers(1, 25), st.integers(1, 6), st.integers(1, 5), st.none() | st.integers(1, 30))
def test_a_sampler_of_the_users_own(examples: int, size: int, processes: int, most: int | None) -> None:
    data = TensorDataset(torch.arange(examples))
    found: list[int] = []
    for rank in range(processes):
        sampler = DistributedSampler[Any](data, processes, rank, shuffle=False)
        mine = share(DataLoader(data, size, sampler=sampler), rank, processes, lambda said: [said], most)
        assert mine.order == "interleaved"
        here = [index for batch in given_to(mine) for index in batch]
        assert here == list(range(rank, min(examples, most or examples), processes))
        found += here
    assert sorted(found) == list(range(min(examples, most or examples)))


def test_a_sampler_for_others_is_refused() -> None:
    data = TensorDataset(torch.arange(6))
    loader = DataLoader(data, 2, sampler=DistributedSampler(data, 3, 1))
    with pytest.raises(ValueError, match=r"for process 1 of 2, got one for 1 of 3; make it without rank"):
        share(loader, 1, 2, lambda said: [said])


def test_a_loader_that_is_made_anew_keeps_its_options() -> None:
    def doubled(samples: list[Any]) -> Tensor:
        return torch.stack([sample[0] for sample in samples]) * 2

    data = TensorDataset(torch.arange(10))
    batches = BatchSampler(range(9, -1, -1), 3, drop_last=True)
    loader = DataLoader(data, batch_sampler=batches, collate_fn=doubled)
    found = [given_to(share(loader, rank, 2, lambda said: [said])) for rank in range(1)]
    assert found == [[[18, 16, 14], [12, 10, 8]]]


def test_streams_that_differ_are_found() -> None:
    def seen(batches: list[Tensor]) -> tuple[int, int, int]:
        mine = share(batches, 0, 2, lambda said: [said])
        list(mine.batches)
        return mine.batches.seen  # type: ignore[attr-defined, no-any-return]

    x = torch.arange(6.0)
    one = seen([x[:3], x[3:]])
    check_dealt([one, one])
    for other, words in (
        ([x[:3]], "2 batches of 6 examples in process 0 and 1 of 3 in process 1;"),
        ([x[3:], x[:3]], "2 of 6 in process 1, others;"),
    ):
        with pytest.raises(ValueError, match=f"expected the same batches .* {words} give them a fixed order"):
            check_dealt([one, seen(other)])


def test_batches_that_cannot_be_numbered_are_refused() -> None:
    mine = share(["text"], 0, 2, lambda said: [said])
    with pytest.raises(TypeError, match="expected batches of tensors, got str"):
        list(mine.batches)
