"""Arrays in files as batches: nothing lost, nothing unpickled, pixels made floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.data.arrays import ArrayBatches, read_examples, read_npy, read_npz

DTYPES = st.sampled_from(["uint8", "int64", "int32", "float16", "float32", "float64", "bool"])
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)


def joined(batches: ArrayBatches) -> torch.Tensor:
    return torch.cat([batch[0] for batch in batches])


@given(data=st.data(), dtype=DTYPES, shape=SHAPES, batch_size=st.integers(1, 6))
def test_raw_batches_are_the_array_cut_in_pieces(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], batch_size: int
) -> None:
    """Pitfall 13: the last batch is shorter, and a batch of one is one."""
    x = data.draw(hnp.arrays(dtype, shape))
    y = np.arange(len(x))
    batches = ArrayBatches(x, y, batch_size=batch_size, raw=True)
    sizes = [len(batch[0]) for batch in batches]
    assert len(batches) == len(sizes)
    assert set(sizes[:-1]) <= {batch_size}
    np.testing.assert_array_equal(joined(batches).numpy(), x)
    assert torch.cat([batch[1] for batch in batches]).tolist() == y.tolist()
    assert joined(batches).shape == torch.Size(shape)  # and again: a second pass gives the same
    assert batches.notes == []


@given(data=st.data(), channels=st.sampled_from([1, 3]), batch_size=st.integers(1, 4))
def test_pixels_become_floats_channels_first(data: st.DataObject, channels: int, batch_size: int) -> None:
    shape = (*data.draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)), channels)
    x = data.draw(hnp.arrays(np.uint8, shape))
    batches = ArrayBatches(x, batch_size=batch_size)
    np.testing.assert_array_equal(joined(batches).numpy(), (x / 255).astype(np.float32).transpose(0, 3, 1, 2))
    assert "channels first" in batches.notes[0] or shape[1] == shape[2] == channels


@pytest.mark.parametrize(
    ("dtype", "shape", "out", "note"),
    [
        ("uint8", (2, 8, 8), (1, 8, 8), "(8, 8) -> (1, 8, 8)"),
        ("uint8", (2, 3, 8, 8), (3, 8, 8), "[0, 1]; --raw"),
        ("uint8", (2, 64), (64,), "[0, 1]; --raw"),
        ("float64", (2, 8, 8, 3), (8, 8, 3), "float64 converted to float32"),
        ("float32", (2, 5), (5,), None),
        ("int64", (2, 5), (5,), None),
    ],
)
def test_what_else_is_done_is_said(
    dtype: str, shape: tuple[int, ...], out: tuple[int, ...], note: str | None
) -> None:
    batches = ArrayBatches(np.ones(shape, dtype))
    (x,) = next(iter(batches))
    assert x.shape[1:] == out
    assert x.dtype == (torch.int64 if dtype == "int64" else torch.float32)
    assert (note in batches.notes[0]) if note else not batches.notes
    assert float(x.double().flatten()[0]) == (pytest.approx(1 / 255) if dtype == "uint8" else 1)


def test_normalisation_is_per_channel_after_scaling() -> None:
    x = np.full((1, 2, 2, 3), 255, np.uint8)
    (batch,) = next(iter(ArrayBatches(x, mean=[0.5, 0.0, 1.0], std=[0.5])))
    assert batch[0, :, 0, 0].tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": np.empty((0, 3))}, "at least one example"),
        ({"x": np.float32(1)}, "axis 0"),
        ({"x": np.ones(3, complex)}, "real numbers, got complex128"),
        ({"x": np.array(["a"])}, "real numbers"),
        ({"x": np.ones((3, 2)), "y": np.ones(2)}, "3 labels"),
        ({"x": np.ones((3, 2)), "y": np.array(["cat", "dog", "cat"])}, "number the classes from 0"),
        ({"x": np.ones((3, 2)), "batch_size": 0}, "batch_size"),
        (
            {"x": np.ones((3, 2)), "mean": [1.0, 2.0, 3.0]},
            "mean: expected one number, or one for each of 2 channels",
        ),
        ({"x": np.ones((3, 2)), "std": [0.0]}, "above 0"),
        ({"x": np.ones((3, 2)), "mean": [float("nan")]}, "mean"),
        ({"x": np.ones((3, 2), np.int64), "mean": [1.0]}, "floating point"),
        ({"x": np.ones((3, 2), np.uint8), "mean": [1.0], "raw": True}, "and raw"),
    ],
)
def test_arrays_that_cannot_serve(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ArrayBatches(**{**arguments, "x": np.asarray(arguments["x"])})


def test_examples_and_their_labels_by_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=np.ones(2), y_test=np.zeros(2), x_val=np.ones(3), other=np.ones(1))
    x, y = read_examples(tmp_path / "a.npz", "x_test")
    assert y is not None
    assert (len(x), len(y)) == (2, 2)
    assert read_examples(tmp_path / "a.npz", "x_val")[1] is None
    assert read_examples(tmp_path / "a.npz", "other")[1] is None
    with pytest.raises(ValueError, match=r"no array 'x' in .*x_test, y_test, x_val, other.*--key"):
        read_examples(tmp_path / "a.npz", "x")


def test_a_memory_map_is_not_read_at_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0))
    array = read_npy(tmp_path / "a.npy", "data")
    assert isinstance(array.base, np.memmap) or isinstance(array, np.memmap)
    assert joined(ArrayBatches(array, batch_size=4)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "object", "missing", "folder"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    objects = np.array([{}], dtype=object) if damage == "object" else np.arange(1000.0)
    if damage == "folder":
        path.mkdir()
    elif damage in ("text", "empty"):
        path.write_text("not an array\n" if damage == "text" else "")
    elif damage != "missing":
        (np.savez if name.endswith("z") else np.save)(path, objects)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    read: Any = read_npz if name.endswith("z") else read_npy
    absent = damage in ("missing", "folder")
    with pytest.raises(FileNotFoundError if absent else ValueError, match=name) as caught:
        read(path, "data")
    message = str(caught.value)
    assert ("was refused" in message) == (damage == "object")
    assert absent or damage == "object" or "corrupt or truncated" in message
