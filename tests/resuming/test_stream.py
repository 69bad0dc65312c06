"""A loader from some batch on, and a checksum of what it gave before."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from operator import length_hint
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurocensus.data.arrays import ArrayBatches
from neurocensus.resuming.stream import Stream, checksum


class Once:
    """Batches that remember which were asked for."""

    def __init__(self, batches: list[Tensor]) -> None:
        self.batches, self.asked = batches, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches:
            self.asked += 1
            yield batch


@given(st.integers(0, 12), st.data())
def test_what_is_left_of_a_loader(count: int, data: st.DataObject) -> None:
    batches = [torch.full((2,), float(number)) for number in range(count)]
    first = data.draw(st.integers(0, count))
    before = Stream(Once(batches))
    for _ in zip(range(first), before, strict=False):
        pass
    assert before.position == first
    calls: list[int] = []
    loader = Once(batches)
    after = Stream(loader, before.position, before.checksum, lambda: calls.append(loader.asked))
    assert length_hint(after) == count - first
    assert list(map(id, after)) == list(map(id, batches[first:]))
    whole = Stream(batches)
    list(whole)
    assert (after.position, after.checksum) == (whole.position, whole.checksum)
    assert calls == [first]  # before the next one was asked for


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda batches: batches.reverse(), "got others: going on would count"),
        (lambda batches: batches.pop(), "got 2 in all: going on"),
        (lambda batches: batches.clear(), "got 0 in all"),
        (lambda batches: batches[2].add_(1), "got others"),
    ],
)
def test_other_batches_are_refused(change: Any, words: str) -> None:
    batches = [torch.full((2,), float(number)) for number in range(3)]
    before = Stream(batches)
    list(before)
    change(batches)
    with pytest.raises(ValueError, match=f"loader: expected the 3 batches that were counted .*{words}"):
        list(Stream(batches, before.position, before.checksum))


def test_of_batches_of_our_own_nothing_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = ArrayBatches(np.arange(10.0), batch_size=3)
    made: list[int] = []
    make = loader._batch
    monkeypatch.setattr(loader, "_batch", lambda index: (made.append(index), make(index))[1])
    stream = Stream(loader, 2, then=lambda: made.append(-1))
    assert [batch[0].tolist() for batch in stream] == [[6, 7, 8], [9]]
    assert (made, stream.position, stream.checksum) == ([-1, 2, 3], 4, 0)


BATCH: Any = {"x": torch.arange(6.0).view(2, 3), "y": [np.arange(2), "text", None, (1, b"2")], "z": {}}


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch["x"].add_(1),
        lambda batch: batch["y"].__setitem__(0, np.arange(2) + 1),
        lambda batch: batch["y"].__setitem__(1, "texts"),
        lambda batch: batch["y"].__setitem__(3, (1, b"3")),
        lambda batch: batch["y"].append(None),
        lambda batch: batch.update(x=batch["x"].view(3, 2)),
        lambda batch: batch.update(x=batch["x"].double()),
        lambda batch: batch.update(w=batch.pop("x")),
    ],
)
def test_a_checksum_sees_what_changes(change: Any) -> None:
    other = copy.deepcopy(BATCH)
    assert checksum(other) == checksum(BATCH)
    change(other)
    assert checksum(other) != checksum(BATCH)
    assert checksum(BATCH, checksum(BATCH)) != checksum(BATCH)


def test_a_checksum_takes_any_tensor() -> None:
    odd = [
        torch.tensor(3.0), torch.empty(0), torch.ones(2).bfloat16(), torch.ones(2, dtype=torch.complex64),
        torch.ones(2, 2).to_sparse(), torch.ones(2, 2)[:, 0], np.array(["a"]), torch.ones(1).expand(40_000),
    ]  # fmt: skip
    assert len({checksum(tensor) for tensor in odd[:-2]}) == len(odd) - 2
    assert isinstance(checksum(odd), int)
