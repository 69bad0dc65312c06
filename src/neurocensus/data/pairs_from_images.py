"""`one_against_rest`: draw a `Pair` from image files, half of it one class, half of it all others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arguments import height_width, integer
from ..text import enumerate_names, printable
from .cache import load
from .decoding import Bytes
from .examples import Examples
from .labelled import Images, open_images
from .pairs import Pair

_SHOWN = 2


def one_against_rest(
    sources: str | Path | Sequence[str | Path],
    positive: str,
    *,
    sizes: Sequence[int] = (62, 30),
    image_size: tuple[int, int] | int = (64, 64),
    seed: int = 0,
) -> Pair:
    """Draw training and test images: half of each of the class `positive`, half of all other classes.

    The others are drawn as evenly over their classes as can be. No test image has the pixels of a training
    image; copies within one of the sets are allowed. Where a source has predefined splits, training images
    come from ``train`` and test images from ``test``, or from ``train`` too if it has no ``test``. Images
    without a predefined split are first parted, class by class, in the proportion of the sizes.

    Which images are drawn follows from `seed` and the names of the files in their sources: each image's lot
    is the SHA-256 of both, the lowest first. So a folder and a tar of it give the same, on every machine.

    Source of the default sizes: the dog / non-dog data of J. Smith, *Qualitative Assessment Metrics for
    Transfer Learning*, section 3.1.

    Args:
        sources: folders or tars of images, see `open_images`. A class may lie in several of them.
        positive: the class that gets label 1.
        sizes: images to train and to test with, even numbers.
        image_size: (height, width) to resize to, or one number for both; decoded and resized as in `load`.
        seed: of the draw, 0 or more.

    Returns:
        Parts with the classes ``("non-<positive>", positive)``, in the order of sources and names.

    Raises:
        FileNotFoundError: a source that is not there, or without images.
        TypeError: sizes, an image size or a seed that are no integers; a class that is no name.
        ValueError: an unknown class, too few images, odd sizes or ones below 2, a source named twice, test
            images that are training images too, as from a folder and a tar of it; what `open_images` and
            `load` raise.
    """
    paths = _paths(sources)
    halves = _halves(sizes)
    size, seed = height_width("image_size", image_size), integer("seed", seed, 0)
    opened = [open_images(path) for path in paths]
    _check_class(positive, sorted({name for images in opened for name in images.classes}))

    files = [file for number, images in enumerate(opened) for file in _files(number, images)]
    files.sort(key=lambda file: _lot(seed, file))
    ones = _draw([file for file in files if file.of == positive], halves, f"class {positive!r}")
    rest = _draw([file for file in files if file.of != positive], halves, f"classes other than {positive!r}")
    chosen = [sorted([*one, *other]) for one, other in zip(ones, rest, strict=True)]
    train, test = (_load(opened, part, positive, size) for part in chosen)
    names = [[str(opened[file.source].path / file.name) for file in part] for part in chosen]
    _check_apart(train.inputs, test.inputs, *names)
    return Pair(train, test)


class _File(NamedTuple):
    """An image that may be drawn. They sort by source, and in it by place."""

    source: int
    place: int  # among its images
    name: str
    of: str  # its class
    part: str  # "train" or "test"; "" for either


_Parts = tuple[list[_File], list[_File]]  # to train, to test


def _files(number: int, images: Images) -> list[_File]:
    """The images of a source that may be drawn. Its validation images may not: no part is for them."""
    known = set() if images.split is None else set(images.split.tolist())
    role = {"train": "train" if "test" in known else "", "test": "test"}
    parts = ["train"] * len(images) if images.split is None else images.split.tolist()
    return [
        _File(number, place, name, images.classes[label], role[part])
        for place, (name, label, part) in enumerate(zip(images.names, images.labels, parts, strict=True))
        if part in role
    ]


def _lot(seed: int, file: _File) -> tuple[bytes, int]:
    """What the files are sorted by: as good as random, yet the same everywhere."""
    return hashlib.sha256(f"{seed}/{file.name}".encode("utf-8", "surrogateescape")).digest(), file.source


def _draw(files: Sequence[_File], sizes: tuple[int, int], of: str) -> _Parts:
    """So many of these files to train and to test with, evenly over their classes."""
    have = Counter(file.part for file in files)
    either = sorted((file for file in files if not file.part), key=lambda file: file.of)
    # Of those that may be in either part, so many train: by proportion, unless one part needs more.
    least = max(0, sizes[0] - have["train"])
    most = len(either) - max(0, sizes[1] - have["test"])
    if least > most:
        raise ValueError(
            f"sizes: expected {sizes[0]} images of {of} to train and {sizes[1]} to test with, got "
            f"{have['train']} and {have['test']} in predefined splits and {len(either)} without; choose "
            "smaller sizes or add images"
        )
    count = min(max(round(len(either) * sizes[0] / sum(sizes)), least), most)
    # In equal steps through all classes, so that each is parted in this proportion.
    to_train = {
        file
        for place, file in enumerate(either, 1)
        if place * count // len(either) > (place - 1) * count // len(either)
    }
    train = [file for file in files if file.part == "train" or file in to_train]
    test = [file for file in files if file.part == "test" or (not file.part and file not in to_train)]
    return _evenly(train, sizes[0]), _evenly(test, sizes[1])


def _evenly(files: Iterable[_File], count: int) -> list[_File]:
    """So many of these files: the first of each class, then the second of each, as long as it has any."""
    seen: Counter[str] = Counter()
    rounds = []
    for file in files:
        rounds.append((seen[file.of], file))
        seen[file.of] += 1
    # The sort is stable: within a round the order stays, and it says which classes the last round serves.
    return [file for _, file in sorted(rounds, key=lambda pair: pair[0])[:count]]


def _load(opened: Sequence[Images], files: Sequence[_File], positive: str, size: tuple[int, int]) -> Examples:
    """The images of these files, which are sorted, in their order."""
    chosen = [[file.place for file in files if file.source == number] for number in range(len(opened))]
    loaded = [
        load(images, indices, size=size, cache=None)
        for images, indices in zip(opened, chosen, strict=True)
        if indices
    ]
    names = [part.classes[label] for part in loaded for label in part.labels]
    return Examples(
        np.concatenate([part.inputs for part in loaded]),
        np.array([name == positive for name in names], np.int64),
        (f"non-{positive}", positive),
        identity=hashlib.sha256(" ".join(str(part.identity) for part in loaded).encode()).hexdigest(),
    )


def _check_apart(train: Bytes, test: Bytes, train_names: Sequence[str], test_names: Sequence[str]) -> None:
    """Refuse to test with images that were trained on, whatever their files are called."""
    known = dict(zip(map(_digest, train), train_names, strict=True))
    digests = map(_digest, test)
    both = [(name, known[of]) for name, of in zip(test_names, digests, strict=True) if of in known]
    if both:
        shown = ", ".join(f"{printable(name)} is {printable(other)}" for name, other in both[:_SHOWN])
        more = f" and {len(both) - _SHOWN} more" if len(both) > _SHOWN else ""
        raise ValueError(
            f"sources: expected no test image among the training images, got {len(both)} of {len(test)} with "
            f"the same pixels: {shown}{more}; give a folder or a tar of it, not both, and remove copies, or "
            "draw with another seed"
        )


def _digest(pixels: Bytes) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()


def _paths(sources: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [Path(path) for path in ([sources] if isinstance(sources, (str, Path)) else sources)]
    if not paths:
        raise ValueError("sources: expected a folder or a tar of images, or several, got none")
    places = [path.resolve() for path in paths]
    twice = [str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1]
    if twice:  # its images would be trained and tested on
        raise ValueError(f"sources: expected each folder or tar once, got {enumerate_names(twice)}")
    return paths


def _halves(sizes: Sequence[int]) -> tuple[int, int]:
    """Images of each half, to train and to test with."""
    if np.ndim(sizes) != 1 or len(sizes) != 2:
        raise TypeError(f"sizes: expected two integers, images to train and to test with, got {sizes!r}")
    train, test = (integer("sizes", size) for size in sizes)
    if min(train, test) < 2 or train % 2 or test % 2:
        raise ValueError(
            f"sizes: expected even numbers of at least 2, half of each class, got {train} and {test}"
        )
    return train // 2, test // 2


def _check_class(positive: str, classes: Sequence[str]) -> None:
    if not isinstance(positive, str):
        raise TypeError(f"positive: expected the name of a class, got {type(positive).__name__}")
    if positive not in classes:
        raise ValueError(
            f"positive: no class {positive!r} in the sources; choose one of {enumerate_names(classes, 20)}"
        )
