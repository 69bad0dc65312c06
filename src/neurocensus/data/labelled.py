"""Labelled images: found in a folder or a tar, not yet decoded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .sources import Listing, Source, base_name, both_layouts, no_image, open_source

SPLITS = ("train", "validation", "test")

# train, training, training_data, val, valid, validation, test, testset, ...
_SPLIT = re.compile(
    r"(?P<part>train|val|test)(ing|id|idation)?([ _-]?(data|set|images))?(?P<number>\d*)", re.IGNORECASE
)
_PARTS = {"train": "train", "val": "validation", "test": "test"}
_KAGGLE = re.compile(r"(?P<name>.+)\.\d+\.[^.]+")  # cat.0.jpg
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Images:
    """Images and their classes; nothing is decoded yet. `open_images` makes it.

    Args:
        source: the folder or tar.
        names: of the files in it, sorted.
        labels: class of each, int64 (N,), a position in `classes`.
        classes: their names.
        split: the part that the data set itself puts each image into ("train", "validation" or "test"),
            or None.
        ignored: files that are no images.
    """

    source: Source
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    split: npt.NDArray[np.str_] | None = None
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def path(self) -> Path:
        """The folder or tar."""
        return self.source.path

    def read(self, index: int) -> bytes:
        """The file of an image."""
        return self.source.read(self.names[index])

    def fingerprint(self, indices: Iterable[int] | None = None) -> str:
        """SHA-256 of the contents of these image files, in this order. Reads them all.

        Names, dates and labels do not enter it: a folder and a tar of the same images agree.
        """
        whole = hashlib.sha256()
        for index in range(len(self)) if indices is None else indices:
            whole.update(hashlib.sha256(self.read(index)).digest())
        return whole.hexdigest()

    def __repr__(self) -> str:
        return f"Images({len(self)} of {len(self.classes)} classes in {self.path})"


def open_images(path: str | Path, *, classes: Sequence[str] | None = None) -> Images:
    """Find labelled images in a folder or an uncompressed tar, which is read in place.

    Layouts, perhaps inside folders that hold nothing else:

    - class folders: ``cats/1.jpg``, ``dogs/2.jpg``; the folder is the class;
    - Kaggle's flat names: ``cat.0.jpg``, ``dog.1.jpg``; what stands before the number is the class;
    - either of them inside ``train``, ``val`` and ``test`` (also ``validation``, ``training_data``,
      ``testset`` and the like): two such folders or more are predefined splits.

    Hidden files are passed over; other files are listed in `Images.ignored`. The order is that of the
    sorted names, so a folder and a tar of it give the same.

    Args:
        path: the folder or tar.
        classes: the classes to keep, in the order of their labels. None keeps all, sorted by name.

    Raises:
        FileNotFoundError: nothing there, or no image in it.
        ValueError: a class without images (in any of the splits), names that tell no class, fewer than
            two classes, another layout, an archive that cannot be read in place.
        TypeError: `classes` is a string.
    """
    if isinstance(classes, str):
        raise TypeError(f"classes: expected names of classes, got the one string {classes!r}")
    if classes is not None and len(set(classes)) != len(classes):
        raise ValueError(f"classes: expected different names of classes, got {classes!r}")
    source = open_source(path)
    found, ignored = _find(source, None if classes is None else set(classes))
    names = classes if classes is not None else sorted({name for part in found.values() for name in part})
    _check_classes(source.path, found, names)

    rows = sorted(
        (image, label, split)
        for split, part in found.items()
        for label, name in enumerate(names)
        for image in part[name]
    )
    return Images(
        source,
        tuple(image for image, _, _ in rows),
        np.array([label for _, label, _ in rows], np.int64),
        tuple(names),
        None if "" in found else np.array([split for _, _, split in rows]),
        tuple(ignored),
    )


_Classes = dict[str, list[str]]  # names of images by class


def _find(source: Source, wanted: set[str] | None) -> tuple[dict[str, _Classes], list[str]]:
    """Images by split ("" if there are none) and class, and the other files."""
    here = source.entries("")
    ignored = [*here.others]
    while not here.images and len(here.folders) == 1:
        below = source.entries(here.folders[0])
        if below.images and not any(map(_class_in_name, below.images)):
            break  # a class folder, the only one
        here = below
        ignored += here.others
    if not here.images and not here.folders:
        raise no_image(source.path)
    found: dict[str, _Classes] = {}
    for split, inside in _splits(source, here, wanted):
        part = found.setdefault(split, {})
        for name, images in _classes(source, inside, wanted, ignored).items():
            part.setdefault(name, []).extend(images)
    return found, ignored


def _splits(source: Source, here: Listing, wanted: set[str] | None) -> list[tuple[str, Listing]]:
    """The folders to look for classes in, with their splits."""
    found = {folder: _SPLIT.fullmatch(base_name(folder)) for folder in here.folders}
    alike = {folder: match for folder, match in found.items() if match}
    asked_for = any(base_name(folder) in (wanted or ()) for folder in alike)
    if here.images or len(alike) < 2 or asked_for:  # one of them alone is a class of that name
        return [("", here)]
    for folder, match in found.items():
        if not match or match["number"]:  # Kaggle's test1 is neither a split that we know nor a class
            known = next(other for other in alike if other != folder)
            raise ValueError(
                f"data: {source.path}: the folder {known} looks like a predefined split, {folder} does not; "
                "give the one folder to use, keep only train, validation and test there, or name the "
                "classes (classes=)"
            )
    part_of = {part[:3]: part for part in SPLITS}
    return [(part_of[match["part"][:3].lower()], source.entries(folder)) for folder, match in alike.items()]


def _classes(source: Source, here: Listing, wanted: set[str] | None, ignored: list[str]) -> _Classes:
    """Images by class, from class folders or from flat names."""
    inside = {base_name(folder): source.entries(folder) for folder in here.folders}
    if wanted is not None:
        inside = {name: listing for name, listing in inside.items() if name in wanted}
    if here.images and any(listing.images for listing in inside.values()):
        folder = next(listing for listing in inside.values() if listing.images)
        raise both_layouts(source.path, here.images[0], folder.images[0])
    if here.images:
        return _flat(source, here.images, wanted)
    for listing in inside.values():
        ignored += listing.others
        deeper = [image for folder in listing.folders for image in source.entries(folder).images]
        if deeper:
            raise ValueError(
                f"data: {source.path}: expected images in one folder per class, got {deeper[0]} in a folder "
                "of a folder; give the folder that holds the classes, or move the images up"
            )
    return {name: listing.images for name, listing in inside.items()}


def _flat(source: Source, images: Sequence[str], wanted: set[str] | None) -> _Classes:
    out: _Classes = {}
    silent = []
    for image in images:
        name = _class_in_name(image)
        if name is None:
            silent.append(image)
        elif wanted is None or name in wanted:
            out.setdefault(name, []).append(image)
    if silent:
        raise ValueError(
            f"data: {source.path}: {len(silent)} of {len(images)} names tell no class: {_some(silent)}; "
            "expected names such as cat.0.jpg, or one folder per class"
        )
    return out


def _class_in_name(image: str) -> str | None:
    """``cat`` of ``cat.0.jpg``; None of other names."""
    match = _KAGGLE.fullmatch(base_name(image))
    return None if match is None else match["name"]


def _check_classes(path: Path, found: Mapping[str, _Classes], names: Sequence[str]) -> None:
    for split, part in found.items():
        empty = [name for name in names if not part.get(name)]
        if empty:
            where = f"{split} of {path}" if split else str(path)
            have = [name for name in part if part[name]]
            raise ValueError(
                f"data: no image of class {_some(empty)} in {where}, which has {_some(have) or 'none'}; "
                "add some, or name the classes to use (classes=)"
            )
    if len(names) < 2:
        got = f"one: {names[0]!r}" if names else "none"
        raise ValueError(
            f"data: expected two classes or more in {path}, got {got}; put the images of each class into a "
            "folder of its own, or name them such as cat.0.jpg"
        )


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
