"""`Pair`: a training and a test set of images that tell one class from the rest, and `open_pair`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..text import enumerate_names
from .arrays import read_npz
from .examples import Examples

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_UNNAMED = ("negative", "positive")


@dataclass(frozen=True, eq=False)
class Pair:
    """Images to train and to test with, of one class (label 1) and of the rest (label 0).

    Args:
        train, test: pixels, uint8 (N, H, W, 3), all of one size, with the same two `classes`, the rest first.

    Raises:
        TypeError: no `Examples`.
        ValueError: other inputs than such pixels, sizes or classes that differ, other than two classes with
            a name each, a part without images of one of them.
    """

    train: Examples
    test: Examples

    def __post_init__(self) -> None:
        parts = {"train": self.train, "test": self.test}
        for name, part in parts.items():
            if not isinstance(part, Examples):
                raise TypeError(f"{name}: expected data.Examples, got {type(part).__name__}")
            _check_pixels(name, part.inputs)
            if len(part.classes) != 2:
                raise ValueError(
                    f"{name}: expected two classes, the rest and the one sought, got {len(part.classes)}: "
                    f"{enumerate_names(part.classes)}"
                )
            _check_names(f"{name}.classes", part.classes)
            absent = [part.classes[label] for label in (0, 1) if label not in part.labels]
            if absent:
                raise ValueError(
                    f"{name}: expected images of both classes, got none of {enumerate_names(absent)} among "
                    f"{len(part)}; add some"
                )
        if self.train.classes != self.test.classes:
            raise ValueError(
                f"train, test: expected the same classes, got {self.train.classes} and {self.test.classes}"
            )
        sizes = ["{} x {}".format(*part.inputs.shape[1:3]) for part in parts.values()]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"train, test: expected images of one size (height x width), got {sizes[0]} and {sizes[1]}; "
                "resize one of them"
            )


def open_pair(path: str | Path) -> Pair:
    """Training and test images of two classes from a ``.npz`` file.

    It holds ``x_train`` and ``x_test``, pixels, uint8 (N, H, W, 3), and ``y_train`` and ``y_test``, labels 0
    and 1, integers or booleans (N,). ``classes``, two names as text or as UTF-8, is optional: without it they
    are "negative" and "positive".

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such archive, or one with pickled objects; a missing array; one of another shape or
            dtype; labels other than 0 and 1, or only one of these; images of unequal size; names of classes
            that are empty, alike, or not UTF-8.
    """
    path = Path(path)
    try:
        arrays = read_npz(path, "data")
    except ValueError as error:  # images of unequal size, for one, are saved as Python objects
        raise ValueError(f"{error}; expected arrays of pixels, images of one size, and of labels") from error
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise ValueError(
            f"data: {path} has no array {enumerate_names(missing)}; expected {', '.join(_ARRAYS)} and "
            f"perhaps classes, got {enumerate_names(list(arrays), 20) or 'no array'}"
        )
    try:
        classes = _class_names(arrays.get("classes"))
        return Pair(*(_examples(arrays, part, classes) for part in ("train", "test")))
    except ValueError as error:
        raise ValueError(f"data: {path}: {error}") from error


def _examples(arrays: Mapping[str, npt.NDArray[Any]], part: str, classes: tuple[str, str]) -> Examples:
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    _check_pixels(f"x_{part}", x)
    if y.shape != (len(x),) or y.dtype.kind not in "biu":
        raise ValueError(
            f"y_{part}: expected an integer for each of the images, of shape ({len(x)},), got {y.dtype} of "
            f"shape {y.shape}"
        )
    labels = np.unique(y).tolist()
    if not set(labels) <= {0, 1}:
        raise ValueError(
            f"y_{part}: expected labels 0 ({classes[0]}) and 1 ({classes[1]}), got "
            f"{', '.join(map(str, labels[:10]))}{', ...' if len(labels) > 10 else ''}; number the class "
            "sought 1 and the rest 0"
        )
    return Examples(x, y.astype(np.int64), classes)


def _check_pixels(name: str, x: npt.NDArray[Any]) -> None:
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or 0 in x.shape[1:3]:
        raise ValueError(
            f"{name}: expected pixels, uint8 (N, height, width, 3), got {x.dtype} of shape {x.shape}; save "
            "RGB images of one size, values 0 to 255"
        )


def _class_names(given: npt.NDArray[Any] | None) -> tuple[str, str]:
    """Of the array ``classes``; HDF5, where such files come from, has bytes."""
    if given is None:
        return _UNNAMED
    if given.shape != (2,) or given.dtype.kind not in "US":
        raise ValueError(
            "classes: expected two names, of label 0 and of label 1, got "
            f"{given.dtype} of shape {given.shape}"
        )
    try:
        names = np.char.decode(given, "utf-8") if given.dtype.kind == "S" else given
    except UnicodeDecodeError as error:
        raise ValueError(
            f"classes: expected names as text or as UTF-8, got the bytes {error.object!r}; save them as "
            "text, np.array(['non-cat', 'cat'])"
        ) from error
    pair = str(names[0]), str(names[1])
    _check_names("classes", pair)
    return pair


def _check_names(name: str, classes: tuple[str, ...]) -> None:
    if not all(of.strip() for of in classes):
        raise ValueError(f"{name}: expected a name for each class, got {classes}; name the empty one")
    if len(set(classes)) < len(classes):
        raise ValueError(f"{name}: expected different names, got {classes}; rename one")
