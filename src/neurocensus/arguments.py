"""Arguments that several functions take, checked."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt


def integer(name: str, value: Any, least: int | None = None) -> int:
    """An integer, NumPy's too, of at least `least`.

    Raises:
        TypeError: no integer; True and False are none.
        ValueError: below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected an integer, got bool")
    if least is not None and number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    return number


def height_width(name: str, value: Any, least: int = 1, of: str = "") -> tuple[int, int]:
    """The size of images, (height, width) in pixels; one number stands for both.

    Args:
        least: for each.
        of: what needs as many.

    Raises:
        TypeError: neither one integer nor two.
        ValueError: below `least`.
    """
    try:
        height, width = value if np.ndim(value) else (value, value)
        height, width = integer(name, height), integer(name, width)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: expected (height, width) in pixels, or one integer for both, got {value!r}"
        ) from None
    if min(height, width) < least:
        needed = f" for {of}" if of else ""
        raise ValueError(
            f"{name}: expected at least {least} x {least} pixels{needed}, got {height} x {width}"
        )
    return height, width


def per_channel(name: str, values: Any, channels: int) -> npt.NDArray[np.float32]:
    """A mean or a standard deviation: one number for all channels, or one for each.

    Returns:
        float32 (1,) or (channels,).

    Raises:
        TypeError: no real numbers.
        ValueError: neither one nor one per channel; not finite; a standard deviation that is not positive.
    """
    wanted = f"{name}: expected one number, or one for each of {channels} channels"
    try:
        given = np.asarray(values)
    except ValueError:  # rows of unequal length
        given = np.empty(0, object)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"{wanted}, got {values!r}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        numbers = np.atleast_1d(given.astype(np.float32))
    if numbers.ndim != 1 or len(numbers) not in (1, channels):
        raise ValueError(f"{wanted}, got {values!r}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    if name == "std" and (numbers <= 0).any():
        raise ValueError(f"{name}: expected numbers above 0, got {values!r}")
    return numbers
