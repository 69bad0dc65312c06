"""From images to the rows of numbers that dense layers take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .network import Array

_LISTS = (list, tuple, np.ndarray)


def flatten(images: Any) -> Array:
    """Images as rows: pixels scaled to [0, 1], in the order height, width, channel.

    Args:
        images: `neurocensus.data.Examples` of pixels, or uint8 (N, H, W, channels), or (N, H, W).

    Returns:
        float64 (N, H x W x channels).

    Raises:
        TypeError: no pixels, or no array or list of images.
        ValueError: images of unequal size, or none.
    """
    pixels = images
    if hasattr(images, "inputs") and hasattr(images, "labels"):  # Examples, without importing them
        pixels = images.inputs if images.index is None else images.inputs[images.index]
    try:
        pixels = np.asarray(pixels)
    except ValueError:  # rows of unequal length
        pixels = np.empty(0, object)
    if pixels.dtype == object:
        sizes = _sizes(images)
        if len(sizes) < 2:
            raise TypeError(
                "images: expected data.Examples of pixels, or uint8 pixels (N, H, W, channels), got "
                f"{type(images).__name__}"
            )
        raise ValueError(
            f"images: expected images of one size, got {', '.join(map(str, sizes[:5]))}; resize them, as "
            "neurocensus.data.load does"
        )
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise TypeError(
            f"images: expected uint8 pixels (N, H, W, channels), got {pixels.dtype} of shape {pixels.shape}"
        )
    if not pixels.size:
        raise ValueError(f"images: expected at least one pixel, got shape {pixels.shape}")
    rows: Array = pixels.reshape(len(pixels), -1) / 255
    return rows


def check_data(x: Any, y: Any) -> tuple[Array, Array]:
    """Inputs and labels as float64, (N, inputs) and (N,).

    Raises:
        TypeError: inputs that are not real numbers, labels that are neither integers nor booleans (0.0 and
            1.0 will do).
        ValueError: shapes that do not fit, inputs that are not finite, labels other than 0 and 1, one class.
    """
    x, y = _array("x", x, "numbers of shape (N, inputs)"), _array("y", y, "a label for each row of x")
    if x.dtype.kind not in "biuf":  # a cast would drop imaginary parts, and read strings
        raise TypeError(f"x: expected real numbers, got {x.dtype}; convert them to float64")
    x = x.astype(np.float64, copy=False)
    if x.ndim != 2 or not x.size:
        raise ValueError(
            f"x: expected shape (N, inputs), got {x.shape}; neurocensus.scratch.flatten makes rows of images"
        )
    if y.dtype.kind not in "biuf" or (y.dtype.kind == "f" and not np.isin(y, (0, 1)).all()):
        raise TypeError(f"y: expected labels 0 and 1, got {y.dtype}")
    if y.shape != (len(x),):
        raise ValueError(f"y: expected shape ({len(x)},), a label for each row of x, got {y.shape}")
    if not np.isfinite(x).all():
        raise ValueError("x: expected finite numbers, got NaN or infinity")
    found = np.unique(y).tolist()
    if not set(found) <= {0, 1}:
        raise ValueError(f"y: expected labels 0 and 1, got {found[:5]}")
    if len(found) < 2:
        raise ValueError(
            f"y: expected examples of both classes, got only class {int(found[0])}; one class gives nothing "
            "to tell apart"
        )
    return x, y.astype(np.float64)


def _array(name: str, given: Any, expected: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError:
        raise ValueError(f"{name}: expected {expected}, got rows of unequal length") from None


def _sizes(images: Any) -> list[tuple[int, ...]]:
    """The shapes of what a list of images holds; nothing if it is no such list."""
    try:
        return sorted({np.shape(image) for image in images}) if isinstance(images, _LISTS) else []
    except (TypeError, ValueError):  # one object, or images that are ragged themselves
        return []
