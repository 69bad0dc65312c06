"""Balanced, disjoint, drawn by a seed, inside predefined splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.data import Images, Split, open_images, split

from ..conftest import shared_data
from .trees import as_folder, tree


@given(
    extra=st.lists(st.integers(0, 5), min_size=2, max_size=4),
    sizes=st.tuples(st.integers(1, 6), st.integers(0, 4), st.integers(0, 4)),
    scale=st.floats(0.01, 1),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_parts_are_disjoint_and_balanced_exactly(
    extra: list[int], sizes: tuple[int, ...], scale: float, seed: int, data: st.DataObject
) -> None:
    classes = len(extra)
    ordered = [label for label, more in enumerate(extra) for _ in range(sum(sizes) + more)]
    labels = np.array(data.draw(st.permutations(ordered)))
    wanted = [size * classes for size in sizes]
    whole, part = split(labels, wanted, seed=seed), split(labels, wanted, seed=seed, scale=scale)

    for parts in (whole, part):
        joined = np.concatenate(parts)
        assert len(set(joined.tolist())) == len(joined)
        for indices in parts:
            assert indices.dtype == np.int64
            assert (np.diff(indices) > 0).all()
            counts = np.bincount(labels[indices], minlength=classes)
            assert (counts == counts[0]).all()
    assert [len(indices) for indices in whole] == wanted
    for indices, size in zip(part, sizes, strict=True):
        assert len(indices) == classes * (max(1, round(size * scale)) if size else 0)
    again = split(labels, wanted, seed=seed)
    assert all((a == b).all() for a, b in zip(whole, again, strict=True))


def test_the_seed_decides_and_every_image_has_its_turn() -> None:
    labels = np.repeat([0, 1], 20)
    drawn = [tuple(split(labels, (4, 2, 2), seed=seed).train) for seed in range(60)]
    assert len(set(drawn)) > 55
    assert {index for indices in drawn for index in indices} == set(range(40))


def test_labels_of_any_numbers() -> None:
    parts = split([7, 7, -1, -1, 7, -1], (2, 2, 2))
    assert sorted(np.concatenate(parts).tolist()) == list(range(6))


def predefined(root: Path, parts: dict[str, int]) -> Images:
    names = [f"{part}/{name}.{n}.png" for part, count in parts.items() for name in "ab" for n in range(count)]
    return open_images(as_folder(root, tree(names)))


def where(images: Images, parts: Split) -> list[set[str]]:
    assert images.split is not None
    return [set(images.split[indices].tolist()) for indices in parts]


def test_predefined_splits_are_respected(tmp_path: Path) -> None:
    images = predefined(tmp_path, {"train": 4, "val": 3, "test": 2})
    parts = split(images, (6, 4, 4))
    assert where(images, parts) == [{"train"}, {"validation"}, {"test"}]
    assert [len(indices) for indices in parts] == [6, 4, 4]
    message = r"expected 3 images of class 'a' in its test split, got 2; .* scale up to 0\.666"
    with pytest.raises(ValueError, match=message):
        split(images, (2, 2, 6))


def test_parts_that_are_not_predefined_come_from_training(tmp_path: Path) -> None:
    images = predefined(tmp_path, {"train": 4, "test": 2})
    parts = split(images, (6, 2, 4))
    assert where(images, parts) == [{"train"}, {"train"}, {"test"}]
    assert not set(parts.train) & set(parts.validation)
    with pytest.raises(ValueError, match="expected 5 images of class 'a' in its train split, got 4"):
        split(images, (6, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sizes": (12, 2, 2)}, ValueError, r"expected 8 images of class 0, got 5; .*scale up to 0\.625"),
        ({"sizes": (3, 2, 2)}, ValueError, r"sizes: expected multiples of 2, .*got \[3, 2, 2\]"),
        ({"sizes": (2, 2)}, ValueError, "sizes: expected images for training, validation and test"),
        ({"sizes": (2, -2, 2)}, ValueError, "sizes"),
        ({"sizes": (0, 0, 0)}, ValueError, "sizes"),
        ({"sizes": (2.0, 2, 2)}, TypeError, "sizes: expected an integer, got float"),
        ({"sizes": 6}, TypeError, "sizes: expected three, for training, validation and test, got 6"),
        ({"scale": 0}, ValueError, "scale: expected a share above 0 and up to 1, got 0"),
        ({"scale": 1.5}, ValueError, "scale"),
        ({"scale": float("nan")}, ValueError, "scale"),
        ({"seed": -1}, ValueError, "seed: expected at least 0, got -1"),
        ({"seed": "0"}, TypeError, "seed: expected an integer, got str"),
        ({"seed": 1.5}, TypeError, "seed: expected an integer, got float"),
        ({"images_or_labels": ["cat", "dog"]}, TypeError, "labels: expected integers"),
        ({"images_or_labels": [[0], [1]]}, TypeError, "labels"),
        ({"images_or_labels": np.empty(0, np.int64)}, ValueError, "number of classes"),
    ],
)
def test_what_cannot_be_drawn(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        split(**{"images_or_labels": [0, 1] * 5, "sizes": (2, 2, 2), **arguments})


def test_the_published_sizes_of_the_real_images() -> None:
    images = open_images(shared_data("dogs_vs_cats_5000.tar"))
    whole, tenth = split(images), split(images, scale=0.1)
    assert [len(indices) for indices in whole] == [3000, 1000, 1000]
    assert [len(indices) for indices in tenth] == [300, 100, 100]
    assert where(images, tenth) == [{"train"}, {"validation"}, {"test"}]
