"""Every example once: parts, and loaders whose sampler repeats some."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler, TensorDataset

from neurocensus._torchvision import import_torchvision
from neurocensus.distributed import once, own_examples, part


@given(st.integers(0, 200), st.integers(1, 12))
def test_parts_cover_all_once_and_evenly(n: int, world_size: int) -> None:
    parts = [part(n, rank, world_size) for rank in range(world_size)]
    assert [index for each in parts for index in each] == list(range(n))
    sizes = [len(each) for each in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 0, 1), ValueError, "n: expected at least 0, got -1"),
        ((5, 0, 0), ValueError, "world_size: expected at least 1, got 0"),
        ((5, 2, 2), ValueError, "rank: expected less than world_size=2, got 2"),
        ((5, -1, 2), ValueError, "rank: expected at least 0, got -1"),
        ((5.0, 0, 2), TypeError, "n: expected an integer, got float"),
    ],
)
def test_parts_that_are_none(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        part(*arguments)


def data_of(n: int) -> TensorDataset:
    return TensorDataset(torch.arange(n))


@given(
    n=st.integers(1, 40), ranks=st.integers(1, 6), size=st.integers(1, 7), shuffle=st.booleans(),
    drop=st.booleans(), drop_batch=st.booleans(), nested=st.booleans(),
)  # fmt: skip
def test_what_is_kept_is_every_example_once(
    n: int, ranks: int, size: int, shuffle: bool, drop: bool, drop_batch: bool, nested: bool
) -> None:
    data, kept, steps = data_of(n), [], set()
    for rank in range(ranks):
        sampler = DistributedSampler(data, ranks, rank, shuffle=shuffle, drop_last=drop and n >= ranks)
        if nested:
            loader = DataLoader(data, batch_sampler=BatchSampler(sampler, size, drop_batch))
        else:
            loader = DataLoader(data, size, sampler=sampler, drop_last=drop_batch)
        mine, order = 0, []
        for (batch,), keep in once(loader):
            keep = torch.ones(len(batch), dtype=torch.bool) if keep is None else keep
            assert keep.shape == batch.shape
            mine += int(keep.sum())
            kept += batch[keep].tolist()
            order += keep.tolist()
        steps.add(len(order))
        assert order == sorted(order, reverse=True)  # the repeated ones come last
        assert own_examples(loader) == mine
        if not drop_batch:
            assert own_examples(sampler) == mine
    assert len(steps) == 1  # all ranks make the same forwards
    assert len(set(kept)) == len(kept)
    if not (drop or drop_batch):
        assert sorted(kept) == list(range(n))


def test_positions_of_a_shuffled_order() -> None:
    """A repeat is told by its position, not by its value."""
    data = data_of(5)
    sampler = DistributedSampler(data, 4, 1, shuffle=True, seed=3)
    (first,), keep = next(once(DataLoader(data, 2, sampler=sampler)))
    assert keep is not None
    assert keep.tolist() == [True, False]
    order = torch.randperm(5, generator=torch.Generator().manual_seed(3)).tolist()
    assert first.tolist() == [order[1], order[0]]


def test_loaders_without_repeats_are_passed_through() -> None:
    data = data_of(6)
    for loader in (
        DataLoader(data, 4),
        DataLoader(data, 4, sampler=DistributedSampler(data, 3, 0)),
        DataLoader(data, 4, sampler=RandomSampler(data, replacement=True)),
        DataLoader(data, batch_size=None),
        [torch.arange(3), torch.arange(2)],
        (batch for batch in [torch.arange(3)]),
    ):
        given = [keep for _, keep in once(loader)]
        assert given
        assert all(keep is None for keep in given)
    assert own_examples(DataLoader(data, 4)) is None
    assert own_examples([1, 2]) is None
    assert own_examples(DataLoader(data, 4, sampler=DistributedSampler(data, 3, 0))) == 2


class Backwards(DistributedSampler[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(list(super().__iter__())[::-1])


class Shuffled(BatchSampler):
    def __iter__(self) -> Iterator[list[int]]:
        return iter(list(super().__iter__())[::-1])


class Foreign:
    """Of no known class, as those of other libraries."""

    num_replicas, rank = 2, 0

    def __init__(self, each: int) -> None:
        self.dataset, self._each = data_of(5), each

    def __len__(self) -> int:
        return self._each

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._each))


def plain(n: int = 5) -> DistributedSampler[Any]:
    return DistributedSampler(data_of(n), 2, 0, shuffle=False)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (
            DataLoader(data_of(5), 2, sampler=Backwards(data_of(5), 2, 0)),
            "sampler: Backwards repeats examples",
        ),
        (DataLoader(data_of(5), 2, sampler=Foreign(3)), "sampler: Foreign repeats examples"),
        (DataLoader(data_of(5), batch_sampler=Shuffled(plain(), 2, False)), "in which order Shuffled gives"),
        (DataLoader(data_of(5), None, sampler=plain()), "with batch_size=None it is not known how many"),
    ],
)
def test_repeats_that_are_not_known_are_refused(loader: Any, message: str) -> None:
    for call in (own_examples, lambda each: next(once(each))):
        with pytest.raises(ValueError, match=f"{message}.*counted twice.*distributed.part"):
            call(loader)


def test_others_without_repeats_are_not_refused() -> None:
    even = data_of(6)
    for loader in (
        DataLoader(even, 2, sampler=Backwards(even, 2, 0)),
        DataLoader(even, 2, sampler=Foreign(2)),
        DataLoader(even, batch_sampler=Shuffled(plain(6), 2, False)),
        DataLoader(even, None, sampler=plain(6)),
    ):
        assert all(keep is None for _, keep in once(loader))


def test_loaders_that_lose_the_order_are_refused() -> None:
    loader = DataLoader(data_of(5), 2, sampler=plain())
    if not hasattr(loader, "in_order"):
        pytest.skip("this torch keeps the order always")
    loader.in_order = False
    with pytest.raises(ValueError, match="in_order=False"):
        own_examples(loader)


def test_samplers_of_lightning() -> None:
    if find_spec("torchvision"):
        import_torchvision()  # Lightning imports it as it is; it may not fit this torch
    pytest.importorskip("lightning")
    from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler

    data = data_of(5)
    parts = [UnrepeatedDistributedSampler(data, 2, rank, shuffle=False) for rank in range(2)]
    loaders = [DataLoader(data, 2, sampler=sampler) for sampler in parts]
    found = [index for loader in loaders for (batch,), _ in once(loader) for index in batch.tolist()]
    assert sorted(found) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("even", [True, False])
def test_loaders_of_accelerate(even: bool) -> None:
    accelerate = pytest.importorskip("accelerate.data_loader")
    loader = accelerate.prepare_data_loader(
        DataLoader(data_of(5), 2), num_processes=2, process_index=0, put_on_device=False, even_batches=even
    )
    if even:
        with pytest.raises(ValueError, match=r"BatchSamplerShard of Accelerate.*even_batches=False"):
            own_examples(loader)
    else:
        assert own_examples(loader) is None
