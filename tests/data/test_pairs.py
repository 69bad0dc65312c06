"""Pairs: what a .npz must hold, and how images of one class are drawn against the rest."""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from neurocensus.data import Examples, Pair, one_against_rest, open_pair

from ..conftest import shared_data
from .trees import as_folder, as_tar, png, tree

SIDES = (4, 6)  # of the images of `trees.png`: at this size, no pixel is changed


def arrays(train: int = 4, test: int = 2, **changes: Any) -> dict[str, Any]:
    """What a file of a pair holds; a change to None leaves an array out."""
    parts = {"train": train, "test": test}
    found: dict[str, Any] = {f"x_{part}": np.zeros((n, 5, 7, 3), np.uint8) for part, n in parts.items()}
    found |= {f"y_{part}": np.arange(n) % 2 for part, n in parts.items()}
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


@given(data=st.data(), labels=st.sampled_from(["bool", "uint8", "int64", "float32"]), named=st.booleans())
def test_a_pair_is_what_the_file_holds(
    data: st.DataObject, labels: str, named: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    found: dict[str, Any] = {"classes": np.array(["other", "Käfer"])} if named else {}
    for part in ("train", "test"):
        y = data.draw(st.lists(st.integers(0, 1), min_size=2, max_size=5).filter(lambda y: len(set(y)) == 2))
        found[f"y_{part}"] = np.array(y, labels)
        found[f"x_{part}"] = data.draw(hnp.arrays(np.uint8, (len(y), height, width, 3)))
    path = tmp_path_factory.mktemp("pair") / "pair.npz"
    np.savez_compressed(path, **found)
    if labels == "float32":
        with pytest.raises(ValueError, match=r"pair\.npz: y_train: expected an integer .* got float32"):
            open_pair(path)
        return
    pair = open_pair(path)
    for part, examples in (("train", pair.train), ("test", pair.test)):
        assert (examples.inputs == found[f"x_{part}"]).all()
        assert (examples.labels == found[f"y_{part}"]).all()
        assert examples.classes == (("other", "Käfer") if named else ("negative", "positive"))


def test_names_from_hdf5_are_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(classes=np.array(["non-cat", "cat"], "S7")))
    assert open_pair(tmp_path / "a.npz").test.classes == ("non-cat", "cat")


def ragged() -> Any:
    images = np.empty(4, object)
    images[:] = [np.zeros((size, 2, 3), np.uint8) for size in (1, 2, 1, 2)]
    return images


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"y_test": None},
            r"has no array 'y_test'; expected x_train, .* got 'x_train', 'x_test', 'y_train'$",
        ),
        ({"x_train": None, "y_train": None}, r"has no array 'x_train', 'y_train'; expected x_train"),
        ({"x_train": ragged()}, r"holds pickled Python objects .*; expected arrays of pixels, images of one"),
        ({"x_test": np.zeros((2, 5, 8, 3), np.uint8)}, r"one size \(height x width\), got 5 x 7 and 5 x 8"),
        ({"x_test": np.zeros((2, 5, 7), np.uint8)}, r"x_test: expected pixels, .* got uint8 of shape \(2, 5"),
        ({"x_test": np.zeros((2, 5, 7, 1), np.uint8)}, r"x_test: expected pixels, uint8 .*; save RGB images"),
        ({"x_train": np.zeros((4, 0, 7, 3), np.uint8)}, r"x_train: expected pixels"),
        ({"x_train": np.zeros((4, 5, 7, 3))}, r"x_train: expected pixels, uint8 .*, got float64 of shape"),
        ({"y_train": [1, 2, 1, 2]}, r"y_train: expected labels 0 \(negative\) and 1 \(positive\), got 1, 2;"),
        ({"y_train": [1, -1, 1, -1]}, r"y_train: expected labels .* got -1, 1; number the class sought 1"),
        ({"x_train": np.zeros((12, 5, 7, 3), np.uint8), "y_train": range(12)}, r"got 0, .*, 9, \.\.\.; numb"),
        (
            {"y_train": [1, 0, 1]},
            r"y_train: expected an integer for each .* shape \(4,\), got int64 .*\(3,\)",
        ),
        ({"y_train": [[1, 0, 1, 0]]}, r"y_train: expected an integer for each .* of shape \(1, 4\)"),
        ({"y_train": [1.0, 0.0, 1.0, 0.0]}, r"y_train: expected an integer for each .* got float64"),
        ({"y_train": [1, 1, 1, 1]}, r"train: .* both classes, got none of 'negative' among 4; add some"),
        ({"y_test": [0, 0]}, r"test: expected images of both classes, got none of 'positive' among 2"),
        ({"train": 0}, r"train: .* both classes, got none of 'negative', 'positive' among 0"),
        ({"classes": ["cat"]}, r"classes: expected two names, .* got <U3 of shape \(1,\)"),
        ({"classes": [0, 1]}, r"classes: expected two names, of label 0 and of label 1, got int64"),
        (
            {"classes": ["cat", "cat"]},
            r"npz: classes: expected different names, got \('cat', 'cat'\); rename",
        ),
        (
            {"classes": ["", "cat"]},
            r"npz: classes: expected a name for each .* got \('', 'cat'\); name the emp",
        ),
        ({"classes": ["cat", " "]}, r"classes: expected a name for each class"),
        ({"classes": np.array([b"cat", b""])}, r"classes: expected a name for each class"),
        (
            {"classes": [b"dog", b"K\xe4fer"]},
            r"npz: classes: expected names as text or as UTF-8, got the bytes b'K\\xe4fer'; save them as",
        ),
    ],
)
def test_what_is_no_pair(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "a pair.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(ValueError, match=words) as caught:
        open_pair(path)
    assert str(caught.value).startswith(f"data: {path}")


def test_a_file_that_is_not_there_or_no_archive(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data: no such file: .*none\.npz"):
        open_pair(tmp_path / "none.npz")
    (tmp_path / "a.npz").write_text("cat")
    with pytest.raises(ValueError, match=r"a\.npz cannot be read .* not a \.npz archive; expected arrays"):
        open_pair(tmp_path / "a.npz")


def examples(y: tuple[int, ...] = (0, 1), classes: tuple[str, ...] = ("rest", "one")) -> Examples:
    return Examples(np.zeros((len(y), 2, 2, 3), np.uint8), np.array(y), classes)


@pytest.mark.parametrize(
    ("test", "error", "words"),
    [
        (examples((0, 1, 2), ("a", "b", "c")), ValueError, "test: expected two classes, .* 3: 'a', 'b', 'c'"),
        (examples(classes=("one", "one")), ValueError, "^test.classes: expected different names, got"),
        (examples(classes=("one", "")), ValueError, "^test.classes: expected a name for each class"),
        (examples(classes=("one", "rest")), ValueError, "the same classes, got .* and .'one', 'rest'"),
        (
            Examples(np.zeros((2, 9), np.float32), np.arange(2), ("rest", "one")),
            ValueError,
            "test: expected p",
        ),
        (np.zeros((2, 2, 2, 3), np.uint8), TypeError, r"test: expected data\.Examples, got ndarray"),
    ],
)
def test_parts_that_do_not_go_together(test: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Pair(examples(), test)


# One against the rest.


def drawn(files: dict[str, bytes], part: Examples) -> list[str]:
    """The names of the images of a part, by their pixels."""
    from neurocensus.data.decoding import try_decode

    known = {}
    for name, content in files.items():
        pixels = try_decode(Path(name), lambda content=content: content)  # type: ignore[misc]
        assert isinstance(pixels, np.ndarray)
        known[pixels.tobytes()] = name
    assert len(known) == len(files)
    return [known[pixels.tobytes()] for pixels in part.inputs]


def class_of(name: str) -> str:
    return name.split("/")[-2]


COUNTS = st.dictionaries(st.sampled_from(["cat", "rose", "tulip"]), st.integers(1, 9), min_size=1)


@given(
    dogs=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    others=st.lists(COUNTS, min_size=2, max_size=2),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    splits=st.booleans(),
    seed=st.integers(0, 99),
)
def test_half_and_half_disjoint_and_inside_the_splits(
    dogs: tuple[int, int],
    others: list[dict[str, int]],
    sizes: tuple[int, int],
    splits: bool,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Two sources, of which one may have predefined splits. What can be drawn at all is drawn."""
    place = tmp_path_factory.mktemp("rest")
    first = {
        f"{part}/{name}/{number}.png"
        for part, count in (("train", dogs[0]), ("test", dogs[1]))
        for name, many in {**others[0], "dog": count}.items()
        for number in range(many)
    }
    if not splits:
        first = {f"all/{class_of(name)}/{name.replace('/', '-')}" for name in first}
    second = {f"more/{name}/{number}.png" for name, many in others[1].items() for number in range(many)}
    second |= {"more/dog/0.png"}
    files = tree(sorted(first | second))
    paths = [
        as_tar(place / "first.tar", {name: files[name] for name in sorted(first)}),
        as_tar(place / "second.tar", {name: files[name] for name in sorted(second)}),
    ]

    def room(of: bool) -> bool:
        mine = [name for name in files if (class_of(name) == "dog") == of]
        train = sum(name.startswith("train/") for name in mine)
        test = sum(name.startswith("test/") for name in mine)
        either = len(mine) - train - test
        return max(0, sizes[0] - train) + max(0, sizes[1] - test) <= either

    def draw() -> Pair:
        return one_against_rest(paths, "dog", sizes=(2 * sizes[0], 2 * sizes[1]), image_size=SIDES, seed=seed)

    if not (room(True) and room(False)):
        with pytest.raises(ValueError, match=r"sizes: expected \d+ images of class"):
            draw()
        return
    pair = draw()
    names = [drawn(files, part) for part in (pair.train, pair.test)]
    assert len({*names[0], *names[1]}) == 2 * sum(sizes)
    for part, size, other, mine in zip((pair.train, pair.test), sizes, ("test", "train"), names, strict=True):
        assert part.classes == ("non-dog", "dog")
        assert part.labels.tolist() == [int(class_of(name) == "dog") for name in mine]
        assert part.labels.sum() == size == len(part) - size
        assert not any(name.startswith(f"{other}/") for name in mine)
    assert [part.fingerprint for part in (draw().train, draw().test)] == [
        part.fingerprint for part in (pair.train, pair.test)
    ]


@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    train=st.integers(1, 12),
    test=st.integers(1, 12),
)
def test_the_rest_is_even_over_its_classes(
    counts: list[int], train: int, test: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A class has fewer than another only if all its images of that split were drawn."""
    parts = {"train": train, "test": test}
    parts = {part: min(size, sum(counts)) for part, size in parts.items()}
    files = tree(
        f"{part}/{name}/{number}.png"
        for part in parts
        for name, count in (("dog", 12), *((f"c{place}", count) for place, count in enumerate(counts)))
        for number in range(count)
    )
    path = as_tar(tmp_path_factory.mktemp("even") / "a.tar", files)
    pair = one_against_rest(path, "dog", sizes=[2 * size for size in parts.values()], image_size=SIDES)
    for part in (pair.train, pair.test):
        found = Counter(map(class_of, drawn(files, part)))
        for place, count in enumerate(counts):
            got = found[f"c{place}"]
            assert got == count or all(found[f"c{other}"] <= got + 1 for other in range(len(counts)))


def one_each(train: int = 3, test: int = 3) -> dict[str, bytes]:
    """Files of three classes without predefined splits, enough for sizes (2 * train, 2 * test)."""
    return tree(f"{name}/{number}.png" for name in ("cat", "dog", "owl") for number in range(train + test))


def test_a_class_without_splits_is_parted_in_the_proportion_of_the_sizes(tmp_path: Path) -> None:
    """Else training would take all of a small class, and none would be left to test with."""
    files = tree(
        [f"dog/{n}.png" for n in range(6)]
        + [f"owl/{n}.png" for n in range(3)]
        + [f"cat/{n}.png" for n in range(9)]
    )
    pair = one_against_rest(as_folder(tmp_path, files), "dog", sizes=(8, 4), image_size=SIDES)
    assert Counter(map(class_of, drawn(files, pair.train))) == {"dog": 4, "cat": 2, "owl": 2}
    assert Counter(map(class_of, drawn(files, pair.test))) == {"dog": 2, "cat": 1, "owl": 1}


@pytest.mark.parametrize(
    ("train", "test", "either", "sizes", "enough"),
    [
        (1, 4, 4, (5, 4), True),  # all of the second source must train
        (5, 1, 3, (5, 4), True),  # all of it must test
        (1, 9, 1, (5, 2), False),  # test images do not train
        (9, 1, 1, (2, 5), False),
    ],
)
def test_images_without_a_split_go_where_they_are_needed(
    tmp_path: Path, train: int, test: int, either: int, sizes: tuple[int, int], enough: bool
) -> None:
    counts = {"a/train": train, "a/test": test, "b/all": either}
    files = tree(f"{part}/{c}/{n}.png" for part, count in counts.items() for c in "xy" for n in range(count))
    as_folder(tmp_path, files)
    sources, doubled = [tmp_path / "a", tmp_path / "b"], [2 * size for size in sizes]
    if enough:
        pair = one_against_rest(sources, "x", sizes=doubled, image_size=SIDES)
        assert [len(pair.train), len(pair.test)] == doubled
        return
    with pytest.raises(ValueError, match=f"to test with, got {train} and {test} in .* and {either} without"):
        one_against_rest(sources, "x", sizes=doubled, image_size=SIDES)


def test_the_seed_decides_and_every_image_has_its_turn(tmp_path: Path) -> None:
    files = one_each()
    path = as_tar(tmp_path / "a.tar", files)
    pairs = [one_against_rest(path, "dog", sizes=(2, 2), image_size=SIDES, seed=seed) for seed in range(60)]
    draws = [tuple(drawn(files, pair.train)) for pair in pairs]
    assert len(set(draws)) > 30
    assert {name for names in draws for name in names} == set(files)


def test_a_folder_and_a_tar_of_it_give_the_same(tmp_path: Path) -> None:
    files = one_each()
    pairs = [
        one_against_rest(source, "owl", sizes=(6, 4), image_size=3, seed=7)
        for source in (as_folder(tmp_path / "a", files), str(as_tar(tmp_path / "a.tar", files)))
    ]
    assert pairs[0].train.fingerprint == pairs[1].train.fingerprint
    assert pairs[0].test.fingerprint == pairs[1].test.fingerprint
    assert pairs[0].train.shape == (6, 3, 3, 3)
    shutil.rmtree(tmp_path / "a")
    assert len(pairs[0].train.batch(slice(None))[0]) == 6  # nothing is read later


def test_the_draw_is_the_documented_one(tmp_path: Path) -> None:
    """By SHA-256 of seed and name, the lowest first: spelled out, since results depend on it."""
    import hashlib

    files = tree(
        f"{part}/{name}/{n}.png" for part in ("train", "test") for name in ("a", "b") for n in range(9)
    )
    pair = one_against_rest(as_folder(tmp_path, files), "a", sizes=(4, 2), image_size=SIDES, seed=3)
    lots = sorted(files, key=lambda name: hashlib.sha256(f"3/{name}".encode()).digest())
    for part, examples, size in (("train", pair.train, 2), ("test", pair.test, 1)):
        wanted = [[name for name in lots if name.startswith(f"{part}/{of}/")][:size] for of in ("a", "b")]
        assert drawn(files, examples) == sorted(wanted[0]) + sorted(wanted[1])


def test_validation_images_are_left_and_testing_falls_back_to_training(tmp_path: Path) -> None:
    files = tree(
        f"{part}/{name}/{n}.png" for part in ("train", "val") for name in ("a", "b") for n in range(4)
    )
    pair = one_against_rest(as_folder(tmp_path, files), "b", sizes=(4, 4), image_size=SIDES)
    names = drawn(files, pair.train) + drawn(files, pair.test)
    assert sorted(names) == sorted(name for name in files if name.startswith("train/"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"positive": "fox"}, ValueError, "^positive: no class 'fox' .*; choose one of 'cat', 'dog', 'owl'$"),
        ({"positive": 1}, TypeError, "^positive: expected the name of a class, got int"),
        ({"sources": []}, ValueError, "^sources: expected a folder or a tar of images, or several, got none"),
        ({"sources": ["a", "../here/a"]}, ValueError, r"^sources: .* once, got 'a', '\.\./here/a'"),
        ({"sources": ["a", "none"]}, FileNotFoundError, "no such folder or tar of images: none"),
        ({"sources": "a/dog"}, ValueError, "names tell no class"),
        (
            {"sizes": (8, 6)},
            ValueError,
            "^sizes: .* 4 images of class 'dog' to train and 3 .* and 6 without;",
        ),
        (
            {"sources": "two", "positive": "cat", "sizes": (4, 4)},
            ValueError,
            "2 images of classes other than",
        ),
        ({"sizes": (3, 2)}, ValueError, "^sizes: expected even numbers of at least 2, .* got 3 and 2"),
        ({"sizes": (2, 0)}, ValueError, "^sizes: expected even numbers of at least 2"),
        ({"sizes": (2, 2.0)}, TypeError, "^sizes: expected an integer, got float"),
        ({"sizes": (2, 2, 2)}, TypeError, r"^sizes: expected two integers, .* got \(2, 2, 2\)"),
        ({"sizes": 4}, TypeError, "^sizes: expected two integers"),
        ({"image_size": 0}, ValueError, "^image_size: expected at least 1 x 1"),
        ({"seed": -1}, ValueError, "^seed: expected at least 0, got -1"),
        ({"seed": "1"}, TypeError, "^seed: expected an integer, got str"),
        ({"sources": "bad"}, ValueError, r"(?s)1 of \d images cannot be read:\n  dog/1\.png: .*All in bad\."),
    ],
)
def test_what_cannot_be_drawn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    here = tmp_path / "here"
    as_folder(here / "a", one_each())
    as_folder(here / "two", tree(["cat/1.png", "cat/2.png", "cat/3.png", "cat/4.png", "dog/1.png"]))
    as_folder(
        here / "bad", {"cat/1.png": png(0), "cat/2.png": png(1), "dog/1.png": b"x", "dog/2.png": png(2)}
    )
    monkeypatch.chdir(here)
    with pytest.raises(error, match=words):
        one_against_rest(**{"sources": "a", "positive": "dog", "sizes": (2, 2), "image_size": 4, **arguments})


@given(
    copied=st.sets(st.tuples(st.sampled_from(["dog", "owl"]), st.integers(0, 3), st.integers(0, 2))),
    within=st.booleans(),
)
def test_no_test_image_is_a_training_image(
    copied: set[tuple[str, int, int]], within: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By their pixels: the copies have names, folders and files of their own."""
    counts = {"train": 4, "test": 3}
    files = tree(
        f"{part}/{of}/{n}.png" for part in counts for of in ("dog", "owl") for n in range(counts[part])
    )
    if within:  # a copy inside each part, which is allowed
        files["train/dog/1.png"], files["test/owl/1.png"] = files["train/dog/0.png"], files["test/owl/0.png"]
    for of, source, target in copied:
        files[f"test/{of}/{target}.png"] = recoded(files[f"train/{of}/{source}.png"])
    path = as_folder(tmp_path_factory.mktemp("copies") / "a", files)
    shown = {name: shades(content) for name, content in files.items()}
    train = {shown[name] for name in files if name.startswith("train/")}
    both = [name for name in sorted(files) if name.startswith("test/") and shown[name] in train]
    if not both:
        one_against_rest(path, "dog", sizes=(8, 6), image_size=SIDES)
        return
    with pytest.raises(
        ValueError, match=f"^sources: .* training images, got {len(both)} of 6 with "
    ) as caught:
        one_against_rest(path, "dog", sizes=(8, 6), image_size=SIDES)
    words = str(caught.value)
    for name in both[:2]:
        twin = re.search(rf"{path}/{name} is {path}/(train/\w+/\d\.png)", words)
        assert twin is not None
        assert shown[twin[1]] == shown[name]
    assert (f" and {len(both) - 2} more; give a folder" in words) == (len(both) > 2)


def recoded(content: bytes) -> bytes:
    """The same pixels in another file."""
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).save(out, "bmp")
    return out.getvalue()


def shades(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).tobytes()


def test_a_folder_and_a_tar_of_it_are_not_two_collections(tmp_path: Path) -> None:
    files = one_each()
    sources = [as_folder(tmp_path / "a", files), as_tar(tmp_path / "a.tar", files)]
    with pytest.raises(
        ValueError,
        match=r"12 of 12 .*/a/cat/0\.png is .*/a\.tar/cat/0\.png, .* and 10 more; give a folder or a",
    ):
        one_against_rest(sources, "dog", sizes=(12, 12), image_size=SIDES)


def test_real_cats() -> None:
    pair = open_pair(shared_data("catvnoncat.npz"))
    assert pair.train.classes == ("non-cat", "cat")
    assert pair.train.shape == (209, 3, 64, 64)
    assert pair.test.shape == (50, 3, 64, 64)
    assert [int(part.labels.sum()) for part in (pair.train, pair.test)] == [72, 33]


def test_real_dogs_and_other_things() -> None:
    """Cats and five flowers make up the rest, five of each and one more."""
    sources = [shared_data("dogs_vs_cats_5000.tar"), shared_data("flowers5_600.tar")]
    pair = one_against_rest(sources, "dog")
    assert pair.train.shape == (62, 3, 64, 64)
    assert pair.test.shape == (30, 3, 64, 64)
    assert [int(part.labels.sum()) for part in (pair.train, pair.test)] == [31, 15]
    assert pair.train.classes == ("non-dog", "dog")
    assert pair.train.fingerprint.startswith("0edef7402a9e")  # results that are published rest on these
    assert pair.test.fingerprint.startswith("99ffd95b3742")
