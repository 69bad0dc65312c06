"""Pictures to be shown, from what a user has: arrays, `neurocensus.data.Examples`, or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...arrays import is_torch
from ...data.examples import Examples

Pixels = npt.NDArray[np.uint8]


class Pictures:
    """Pictures by index, as uint8 (height, width, 3), and their classes where these are known.

    Args:
        images: grey (N, H, W) or (N, H, W, 1), or RGB (N, H, W, 3), uint8 or floating point in [0, 1]; or
            `Examples` of pixels; or a function that gives one such picture for an index.
        labels: class of each picture, integers from 0 (N,); default: those of `Examples`.
        classes: names of the classes; default: those of `Examples`, else the numbers.

    Raises:
        TypeError: something else.
        ValueError: an array of another shape, labels without a class.
    """

    def __init__(self, images: Any, labels: Any = None, classes: Sequence[str] | None = None) -> None:
        self._count: int | None = None
        if isinstance(images, Examples):
            if images.inputs.dtype != np.uint8:
                raise TypeError(f"images: expected pixels, got {images}; give those they were made from")
            self._count, rows, inputs = len(images), images.index, images.inputs
            self._one: Callable[[int], Any] = lambda index: inputs[index if rows is None else rows[index]]
            if labels is None:
                labels, classes = images.labels, images.classes
        elif isinstance(images, np.ndarray):
            if images.ndim < 3:
                raise ValueError(
                    f"images: expected shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {images.shape}"
                )
            self._count, self._one = len(images), images.__getitem__
        elif callable(images) and not is_torch(images):
            self._one = images
        else:
            hint = "; use x.permute(0, 2, 3, 1).numpy() of a batch (N, 3, H, W)" if is_torch(images) else ""
            raise TypeError(
                "images: expected a NumPy array, neurocensus.data.Examples or a function of an index, got "
                f"{type(images).__name__}{hint}"
            )
        self._labels, self.classes = _labels(labels, classes, self._count)

    def check(self, highest: int) -> None:
        """Raise ValueError unless there is a picture of the highest index, and a label if there are any."""
        if self._count is not None and highest >= self._count:
            raise ValueError(
                f"images: expected a picture for each of at least {highest + 1} examples, got {self._count}; "
                "give those that the model was shown, in that order"
            )
        if self._labels is not None and highest >= len(self._labels):
            raise ValueError(
                f"labels: expected a class for each of at least {highest + 1} images, got {len(self._labels)}"
            )

    def label(self, index: int) -> int | None:
        """The class of a picture, as a position in `classes`; None where it is not known."""
        return None if self._labels is None else int(self._labels[index])

    def __getitem__(self, index: int) -> Pixels:
        """The pixels of a picture.

        Raises:
            ValueError: no picture, or values beyond [0, 1].
        """
        given = np.asarray(self._one(index))
        pixels = given[:, :, None] if given.ndim == 2 else given
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise ValueError(
                f"images[{index}]: expected (H, W), (H, W, 1) or (H, W, 3), got shape {given.shape}"
                + ("; move the channels to the end" if given.ndim == 3 and given.shape[0] in (1, 3) else "")
            )
        out: Pixels = np.broadcast_to(_bytes(index, pixels), (*pixels.shape[:2], 3))
        return out


def _labels(
    labels: Any, classes: Sequence[str] | None, count: int | None
) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """The labels and the names of their classes; None and none where they are not known."""
    if labels is None:
        if classes is not None:
            raise ValueError("classes: expected labels with them, got none; give labels=, one per image")
        return None, ()
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise TypeError(
            f"labels: expected integers, one for each image, got {numbers.dtype} of shape {numbers.shape}"
        )
    if count is not None and len(numbers) != count:
        raise ValueError(f"labels: expected {count}, one for each image, got {len(numbers)}")
    if isinstance(classes, str):
        raise TypeError(f"classes: expected a name for each class, got the one string {classes!r}")
    highest = int(numbers.max(initial=-1))
    names = tuple(map(str, range(highest + 1))) if classes is None else tuple(classes)
    if len(numbers) and not 0 <= numbers.min() <= highest < len(names):
        raise ValueError(
            f"labels: expected 0 to {len(names) - 1}, for the classes {names}, got {numbers.min()} to "
            f"{highest}"
        )
    return numbers.astype(np.int64), names


def _bytes(index: int, pixels: npt.NDArray[Any]) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise TypeError(f"images[{index}]: expected uint8 or floating point, got {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(
            f"images[{index}]: expected values from 0 to 1, got {low:.3g} to {high:.3g}; undo the "
            "normalisation, or give the pixels as uint8"
        )
    out: Pixels = np.rint(pixels * 255).astype(np.uint8)
    return out
