"""Labelled images: the layouts, and what is none."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.data import Images, open_images

from ..conftest import shared_data
from .trees import as_folder, as_tar, png, tree

CLASSES = st.dictionaries(
    st.sampled_from(["cat", "dog", "Großer Hund", "fox"]), st.integers(1, 3), min_size=2, max_size=3
)
SPLITS = st.sampled_from(
    [
        {},
        {"train": "train", "val": "validation"},
        {"Training": "train", "testset": "test"},
        {"training_data": "train", "validation_data": "validation", "test_data": "test"},  # the thesis's
    ]
)


@given(
    classes=CLASSES,
    splits=SPLITS,
    flat=st.booleans(),
    wrapper=st.sampled_from(["", "dogs_vs_cats/", "a/b/"]),
    dot=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_layout_gives_the_same_images(
    classes: dict[str, int],
    splits: dict[str, str],
    flat: bool,
    wrapper: str,
    dot: bool,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Class folders or flat names, with or without splits and wrappers; a folder or a tar in any order."""
    wanted = {}  # name: (class, split)
    for folder, split in (splits or {"": None}).items():
        for name, count in classes.items():
            for number in range(count):
                file = f"{name}.{number}.png" if flat else f"{name}/{number}.png"
                wanted[wrapper + (f"{folder}/" if folder else "") + file] = name, split
    files = tree(wanted)
    if not flat or splits or wrapper:
        files["index.csv"] = b"1"
    shuffled = list(files)
    random.Random(seed).shuffle(shuffled)
    place = tmp_path_factory.mktemp("layout")
    folder_ = open_images(as_folder(place / "folder", files))
    tar = open_images(as_tar(place / "a.tar", {n: files[n] for n in shuffled}, "./" if dot else ""))

    for images in (folder_, tar):
        assert images.names == tuple(sorted(wanted))
        assert images.classes == tuple(sorted(classes))
        assert [images.classes[label] for label in images.labels] == [wanted[n][0] for n in images.names]
        assert images.labels.dtype == np.int64
        if splits:
            assert images.split is not None
            assert images.split.tolist() == [wanted[name][1] for name in images.names]
        else:
            assert images.split is None
        assert [images.read(index) for index in range(len(images))] == [files[n] for n in images.names]
        assert images.ignored == (("index.csv",) if "index.csv" in files else ())
    assert folder_.fingerprint() == tar.fingerprint()


def test_chosen_classes_in_the_order_given(tmp_path: Path) -> None:
    root = as_folder(tmp_path, tree(["cat/1.png", "dog/1.png", "fox/1.png", "docs/", "notes/a/b/1.png"]))
    images = open_images(root, classes=["fox", "cat"])
    assert images.classes == ("fox", "cat")
    assert images.names == ("cat/1.png", "fox/1.png")
    assert images.labels.tolist() == [1, 0]
    flat = as_folder(tmp_path / "flat", tree(["cat.0.png", "dog.0.png", "fox.0.png"]))
    assert open_images(flat, classes=["fox", "dog"]).labels.tolist() == [1, 0]


def test_a_lone_train_folder_is_no_split(tmp_path: Path) -> None:
    """Kaggle's own archive unpacks to that."""
    images = open_images(as_folder(tmp_path, tree(["train/cat.0.jpg", "train/dog.0.jpg"])))
    assert images.split is None
    assert images.classes == ("cat", "dog")


def test_a_train_may_be_a_class(tmp_path: Path) -> None:
    images = open_images(as_folder(tmp_path, tree(["train/1.png", "plane/1.png"])))
    assert images.classes == ("plane", "train")
    images = open_images(as_folder(tmp_path, tree(["test1/1.png"])), classes=["train", "test1"])
    assert images.classes == ("train", "test1")


def test_links_in_a_folder_are_followed(tmp_path: Path) -> None:
    as_folder(tmp_path, tree(["elsewhere/1.png", "elsewhere/2.png", "data/dog/1.png"]))
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert open_images(tmp_path / "data").names == ("cat/1.png", "cat/2.png", "dog/1.png")


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        ([], {}, FileNotFoundError, "no image in"),
        (["notes.txt"], {}, FileNotFoundError, "no image in"),
        (["a/b/"], {}, FileNotFoundError, "no image in"),
        (["1.png", "2.png"], {}, ValueError, r"2 of 2 names tell no class: '1\.png', '2\.png'.*cat\.0\.jpg"),
        (["cat.0.png", "dog.png"], {}, ValueError, r"1 of 2 names tell no class: 'dog\.png'"),
        (["cat/1.png"], {}, ValueError, r"two classes or more in .*, got one: 'cat'; put the images of each"),
        (["a/b/cat/1.png", "a/b/cat/2.png"], {}, ValueError, "two classes or more in .*, got one: 'cat'"),
        (["cat/1.png", "cat/cat.0.png"], {}, ValueError, r"1 of 2 names tell no class: 'cat/1\.png'"),
        (["cat/1.png"], {"classes": ["cat", "dog"]}, ValueError, "no image of class 'dog' .* has 'cat'"),
        (["train/cat/1.png", "val/cat/1.png"], {}, ValueError, "two classes or more in .*, got one: 'cat'"),
        (["cat.0.png", "cat.1.png"], {}, ValueError, r"two classes or more in .*, got one: 'cat'"),
        (["cat.0.png", "dog.0.png"], {"classes": []}, ValueError, "two classes or more in .*, got none"),
        (["cat/1.png", "dog/"], {}, ValueError, r"no image of class 'dog' in .* has 'cat'.*classes="),
        (["cat/1.png", "dog/a.txt"], {}, ValueError, "no image of class 'dog'"),
        (
            ["cat.0.png", "dog.0.png"],
            {"classes": ["cat", "fox"]},
            ValueError,
            "no image of class 'fox' in .* has 'cat'",
        ),
        (["cat.0.png", "dog.0.png"], {"classes": ["cat"]}, ValueError, "two classes or more"),
        (["cat.0.png", "dog.0.png"], {"classes": "cat"}, TypeError, "^classes: .* the one string 'cat'"),
        (["cat.0.png", "dog.0.png"], {"classes": ["cat", "cat"]}, ValueError, "^classes: expected different"),
        (["cat/1.png", "dog.0.png"], {}, ValueError, r"got both \(dog\.0\.png and cat/1\.png\)"),
        (["cat/1.png", "dog/a/1.png"], {}, ValueError, r"dog/a/1\.png in a folder of a folder"),
        (
            ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"],
            {},
            ValueError,
            "no image of class 'dog' in test of .* has 'cat'",
        ),
        (["train/cat.0.jpg", "test1/1.jpg"], {}, ValueError, "train looks like a predefined split, test1 do"),
        (["train/cat/1.png", "val/cat/1.png", "extra/1.png"], {}, ValueError, "predefined split, extra does"),
        (["train1/cat.0.jpg", "test1/dog.0.jpg"], {}, ValueError, r"like a predefined split.*classes="),
    ],
)
def test_what_is_no_layout(
    tmp_path: Path, kind: str, names: list[str], options: dict[str, list[str]], error: type, words: str
) -> None:
    files = tree(names)
    path = as_folder(tmp_path / "d", files) if kind == "folder" else as_tar(tmp_path / "d.tar", files)
    with pytest.raises(error, match=words) as caught:
        open_images(path, **options)  # type: ignore[arg-type]
    assert "classes" in options or str(path) in str(caught.value)


def two() -> dict[str, bytes]:
    return {"cat.0.png": png(0), "dog.0.png": png(1)}


def test_a_changed_image_changes_the_fingerprint(tmp_path: Path) -> None:
    """By its content: neither its size nor its date has to change."""
    images = open_images(as_folder(tmp_path, two()))
    before = images.fingerprint(), images.fingerprint([1]), images.fingerprint([1, 0])
    assert len(set(before)) == 3
    path = tmp_path / "cat.0.png"
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = images.fingerprint(), images.fingerprint([1]), images.fingerprint([1, 0])
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, True, False]


def test_the_real_tars() -> None:
    dogs = open_images(shared_data("dogs_vs_cats_5000.tar"))
    assert dogs.classes == ("cat", "dog")
    assert dogs.ignored == ("dogs_vs_cats/index.csv",)
    assert counts(dogs) == {("train", 1500), ("validation", 500), ("test", 500)}
    index = dogs.source.read(dogs.ignored[0]).decode().splitlines()[1:]
    labels = {f"dogs_vs_cats/{s}/{f}": label for s, f, label, _ in (line.split(",") for line in index)}
    found = zip(dogs.names, dogs.labels, strict=True)
    assert labels == {name: dogs.classes[label] for name, label in found}

    flowers = open_images(shared_data("flowers5_600.tar"))
    assert flowers.classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert counts(flowers) == {("train", 100), ("test", 20)}


def counts(images: Images) -> set[tuple[str, int]]:
    """Images of each class in each split."""
    assert images.split is not None
    return {
        (str(split), int(((images.split == split) & (images.labels == label)).sum()))
        for split in np.unique(images.split)
        for label in range(len(images.classes))
    }
