"""Examples and their batches against plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.data import Examples, batches

from ..conftest import shared_data

CLASSES = ("cat", "dog", "fox")


def made(count: int, kind: str = "pixels", seed: int = 0) -> Examples:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    if kind == "pixels":
        return Examples(generator.integers(0, 256, (count, 2, 4, 3), np.uint8), labels, CLASSES)
    return Examples(generator.standard_normal((count, 5), np.float32), labels, CLASSES)


@st.composite
def indices(draw: st.DrawFn, count: int) -> Any:
    """Whatever NumPy takes along one axis."""
    some = st.lists(st.integers(-count, count - 1), max_size=6)
    return draw(
        st.one_of(
            st.slices(count),
            st.integers(-count, count - 1),
            st.lists(st.booleans(), min_size=count, max_size=count).map(lambda mask: np.array(mask, bool)),
            some.map(lambda rows: np.array(rows, np.int64)),
            some.map(lambda rows: np.array(rows, np.int32)),
        )
    )


@given(data=st.data(), count=st.integers(1, 9), kind=st.sampled_from(["pixels", "features"]))
def test_a_batch_is_those_examples(data: st.DataObject, count: int, kind: str) -> None:
    examples = made(count, kind)
    chosen = data.draw(indices(count))
    x, y = examples.batch(chosen)
    wanted = np.atleast_1d(np.arange(count)[chosen])
    assert y.tolist() == examples.labels[wanted].tolist()
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert x.is_contiguous()
    rows = examples.inputs[wanted]
    if kind == "pixels":
        rows = rows.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(x.numpy(), rows)
    assert examples.shape[1:] == tuple(x.shape[1:])


@given(data=st.data(), count=st.integers(1, 9))
def test_taking_is_lazy_and_composes(data: st.DataObject, count: int) -> None:
    examples = made(count)
    first = np.atleast_1d(np.arange(count)[data.draw(indices(count))])
    part = examples.take(first)
    assert part.inputs is examples.inputs
    assert len(part) == len(first) == part.shape[0]
    if len(first):
        second = np.atleast_1d(np.arange(len(first))[data.draw(indices(len(first)))])
        for a, b in zip(part.take(second).batch(slice(None)), examples.batch(first[second]), strict=True):
            assert torch.equal(a, b)


def test_they_are_shown_on_one_line() -> None:
    assert repr(made(6).take([0, 1])) == "Examples(2 of 3 classes, pixels (2, 4, 3))"
    assert repr(made(6, "features")) == "Examples(6 of 3 classes, features (5,))"


def test_a_read_only_map_gives_tensors_that_may_be_written(tmp_path: Path) -> None:
    examples = made(4)
    np.save(tmp_path / "a.npy", examples.inputs)
    mapped = Examples(np.load(tmp_path / "a.npy", mmap_mode="r"), examples.labels, CLASSES)
    x, y = mapped.batch(slice(0, 2))
    x += 1
    y += 1
    assert torch.equal(mapped.batch(slice(0, 2))[0] + 1, x)
    assert torch.equal(mapped.batch(slice(0, 2))[1] + 1, y)


def test_fingerprints_tell_contents_orders_labels_and_classes_apart() -> None:
    examples = made(6)
    changed = examples.inputs.copy()
    changed[5, 1, 3, 2] ^= 1
    labels = (examples.labels + 1) % 3
    different = [
        examples,
        Examples(changed, examples.labels, CLASSES),
        Examples(examples.inputs, labels, CLASSES),
        Examples(examples.inputs, examples.labels, ("a", "b", "c")),
        Examples(examples.inputs.reshape(6, 4, 2, 3), examples.labels, CLASSES),
        examples.take([0, 1, 2]),
        examples.take([1, 0, 2]),
        Examples(examples.inputs, examples.labels, CLASSES, identity="known"),
        Examples(examples.inputs, examples.labels, CLASSES, identity="other"),
    ]
    assert len({item.fingerprint for item in different}) == len(different)
    alike = Examples(examples.inputs, np.zeros(6, np.int64), CLASSES)
    assert len({alike.take(rows).fingerprint for rows in ([0, 1], [1, 0], [0, 0], [0])}) == 4
    assert made(6).fingerprint == examples.fingerprint
    assert made(6).take([2, 1]).fingerprint == examples.take([2, 1]).fingerprint


@given(
    count=st.integers(1, 20),
    size=st.integers(1, 7),
    start=st.integers(0, 25),
    epoch=st.integers(0, 3),
    seed=st.none() | st.integers(0, 3),
)
def test_batches_are_all_examples_once(
    count: int, size: int, start: int, epoch: int, seed: int | None
) -> None:
    examples = made(count, "features")
    torch.manual_seed(count)
    state = torch.get_rng_state()
    whole = batches(examples, size, seed=seed, epoch=epoch)
    given_ = list(whole)
    assert len(given_) == len(whole) == -(-count // size)
    assert all(len(x) == len(y) == size for x, y in given_[:-1])
    rows = [tuple(row) for x, _ in given_ for row in x.tolist()]
    originals = [tuple(row) for row in examples.inputs.tolist()]
    if seed is None:
        assert rows == originals
    assert sorted(rows) == sorted(originals)
    labels = dict(zip(originals, examples.labels.tolist(), strict=True))
    assert [labels[row] for row in rows] == [label for _, y in given_ for label in y.tolist()]

    rest = batches(examples, size, seed=seed, epoch=epoch, start=start)
    assert len(rest) == len(given_[start:])
    for a, b in zip(rest, given_[start:], strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    examples = made(50, "features")

    def order(seed: int, epoch: int) -> tuple[float, ...]:
        return tuple(torch.cat([x for x, _ in batches(examples, 7, seed=seed, epoch=epoch)])[:, 0].tolist())

    orders = {(seed, epoch): order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(set(orders.values())) == 9
    np.random.default_rng(0).random(10)
    assert orders[2, 1] == order(2, 1)


def test_what_is_skipped_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(Examples, "batch", lambda self, chosen, device: read.extend(chosen))
    list(batches(made(10), 3, seed=0, start=3))
    assert len(read) == 1


def test_the_real_arrays() -> None:
    with np.load(shared_data("catvnoncat.npz"), allow_pickle=False) as file:
        examples = Examples(file["x_train"], file["y_train"], tuple(file["classes"].tolist()))
    assert np.bincount(examples.labels).tolist() == [137, 72]
    x, y = next(iter(batches(examples, 30, seed=0)))
    assert tuple(x.shape) == (30, 3, 64, 64)
    assert 0.1 < float(x.mean()) < 0.9
    assert y.dtype == torch.int64


PIXELS = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"inputs": np.zeros((2, 4, 4, 3))}, TypeError, r"inputs: expected pixels.*got float64 of shape"),
        ({"inputs": np.zeros((2, 4), np.uint8)}, TypeError, r"got uint8 of shape \(2, 4\)"),
        ({"inputs": np.zeros(2, np.float32)}, TypeError, "inputs"),
        ({"labels": [0.0, 1.0]}, TypeError, "labels: expected integers.*float64"),
        ({"labels": ["cat", "dog"]}, TypeError, "labels"),
        ({"classes": "ab"}, TypeError, "classes: expected a name for each class, got the one string 'ab'"),
        ({"labels": [0]}, ValueError, r"labels: expected shape \(2,\), .* got \(1,\)"),
        ({"labels": [0, 2]}, ValueError, "labels: expected 0 to 1 .* got 0 to 2"),
        ({"labels": [-1, 0]}, ValueError, "got -1 to 0"),
        ({"index": np.array([0, 2])}, ValueError, "index: expected 0 to 1, got 0 to 2"),
        ({"index": np.array([0])}, ValueError, "labels: expected shape"),
    ],
)
def test_what_makes_no_examples(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Examples(**{"inputs": PIXELS, "labels": [0, 1], "classes": ("cat", "dog"), **arguments})


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("seed", -1), ("epoch", -1), ("start", -1)])
def test_batches_that_make_no_sense(name: str, value: int) -> None:
    options: dict[str, Any] = {"batch_size": 2, name: value}
    with pytest.raises(ValueError, match=f"^{name}: expected at least {value + 1}, got {value}"):
        batches(made(3), **options)


@pytest.mark.parametrize("name", ["batch_size", "seed", "epoch", "start"])
@pytest.mark.parametrize("value", ["0", 1.5])
def test_batches_are_counted_in_integers(name: str, value: Any) -> None:
    options: dict[str, Any] = {"batch_size": 2, name: value}
    with pytest.raises(TypeError, match=f"^{name}: expected an integer, got {type(value).__name__}"):
        batches(made(3), **options)
