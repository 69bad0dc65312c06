"""Batches by number: the same ones as by iterating, and only those."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neurocensus.data import Examples, batches, open_data
from neurocensus.data.arrays import ArrayBatches, read_npy
from neurocensus.data.indexed import Indexed, Part


def rows(batches: Any) -> list[list[float]]:
    return [batch[0].flatten().tolist() for batch in batches]


@given(st.integers(1, 30), st.integers(1, 9), st.data())
def test_a_part_is_a_run_of_the_whole(examples: int, size: int, data: st.DataObject) -> None:
    whole = ArrayBatches(np.arange(examples, dtype=np.float32)[:, None], batch_size=size)
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    part = Part(whole, range(first, last))
    assert rows(part) == rows(whole)[first:last]
    assert part.examples == sum(map(len, rows(part)))
    assert (len(part), len(whole)) == (last - first, len(rows(whole)))
    begun = data.draw(st.integers(0, len(part)))
    numbered = list(part.numbered(range(begun, len(part))))
    assert [number for number, _ in numbered] == list(range(begun, len(part)))
    assert rows(batch for _, batch in numbered) == rows(part)[begun:]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index in range(9):
        path = tmp_path / "images" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"bad") if index in (1, 4, 5) else Image.new("RGB", (2, 2), (index, 0, 0)).save(path)
    return path.parent


def test_images_by_number(images: Path) -> None:
    """Batches of nothing but bad images have a number, and are not given."""
    data = open_data(str(images), batch_size=2, skip_unreadable=True)
    assert isinstance(data.batches, Indexed)
    found = list(data.batches.numbered(range(1, 5)))
    assert [number for number, _ in found] == [1, 3, 4]
    assert [round(255 * value) for _, (x,) in found for value in x[:, 0, 0, 0].tolist()] == [2, 3, 6, 7, 8]
    assert [bad.path.name for bad in data.skipped] == ["4.png", "5.png"]
    assert len(list(data.batches)) == 4
    assert [bad.path.name for bad in data.skipped] == ["1.png", "4.png", "5.png"]
    (images / "2.png").unlink()  # what is not wanted is not read
    assert len(list(data.batches.numbered(range(3, 5)))) == 2


def test_identity_of_images(images: Path) -> None:
    def identity(**options: Any) -> Any:
        batches = open_data(str(images), **options).batches
        assert isinstance(batches, Indexed)
        return batches.identity()

    known = identity()
    assert identity() == known
    for options in ({"batch_size": 3}, {"mean": 0.5}, {"image_size": 2}, {"skip_unreadable": True}):
        assert identity(**options) != known
    assert identity(workers=1) == known
    for change in (
        lambda: os.utime(images / "0.png", ns=(0, 0)),
        lambda: (images / "8.png").rename(images / "9.png"),
        lambda: (images / "0.png").unlink(),
    ):
        before = identity()
        change()
        assert identity() != before


def test_identity_of_arrays(tmp_path: Path) -> None:
    x, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4)

    def identity(x: Any = x, y: Any = y, **options: Any) -> Any:
        return ArrayBatches(x, y, **options).identity()

    assert identity() == identity(x.copy(), y.copy())
    others = [(x + 1, y), (x.reshape(4, 3, 1), y), (x.astype(np.float64), y), (x, y + 1), (x, None)]
    known = [identity(), identity(raw=True), identity(mean=1.0), identity(std=[2.0]), identity(batch_size=3)]
    known += [identity(*other) for other in others]
    assert all(a != b for index, a in enumerate(known) for b in known[:index])

    path = tmp_path / "x.npy"
    np.save(path, x)
    mapped = identity(read_npy(path, "data"))
    assert "bytes, changed at" in mapped["x"]
    assert mapped == identity(read_npy(path, "data"))
    os.utime(path, ns=(0, 0))
    assert mapped != identity(read_npy(path, "data"))


def test_batches_of_examples() -> None:
    inputs = np.arange(22, dtype=np.float32).reshape(11, 2)
    examples = Examples(inputs, np.zeros(11, np.int64), ("a",))
    for options in ({}, {"seed": 3}, {"start": 2}, {"seed": 3, "epoch": 1}):
        whole = batches(examples, 3, **options)
        assert rows(Part(whole, range(1, 2))) == rows(whole)[1:2]
        assert [number for number, _ in whole.numbered(range(1, len(whole)))] == list(range(1, len(whole)))
    assert sum(map(len, rows(whole))) == 2 * whole.examples == 22
    known = [
        batches(*given, **options).identity()
        for given, options in (
            ((examples, 3), {}), ((examples, 4), {}), ((examples, 3), {"seed": 1}),
            ((examples, 3), {"seed": 2}), ((examples, 3), {"start": 1}), ((examples.take([1, 2]), 3), {}),
        )
    ]  # fmt: skip
    assert all(a != b for index, a in enumerate(known) for b in known[:index])
    assert known[2] == batches(examples, 3, seed=1).identity()


def test_a_bad_image_in_a_part_names_all(images: Path) -> None:
    batches = open_data(str(images), batch_size=2).batches
    assert isinstance(batches, Indexed)
    with pytest.raises(ValueError, match="3 of 9 images cannot be read"):
        list(Part(batches, range(2, 3)))
    assert torch.is_tensor(next(iter(Part(batches, range(3, 4))))[0])
