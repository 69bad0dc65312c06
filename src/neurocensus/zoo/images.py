"""Sizes of images, and what the models say to other input."""

from __future__ import annotations

from torch import Tensor


def checked_size(image_size: tuple[int, int] | int, minimum: int, of: str) -> tuple[int, int]:
    """`image_size` as (height, width), at least `minimum` each; `of` names the model in the error.

    Raises:
        TypeError: neither an int nor two of them.
        ValueError: below the minimum.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(n, int) for n in size):
        raise TypeError(f"image_size: expected (height, width) in pixels, two integers, got {image_size!r}")
    if min(size) < minimum:
        raise ValueError(
            f"image_size: {of} needs at least {minimum} x {minimum} pixels, got {size[0]} x {size[1]}; "
            "resize the images to more"
        )
    return size


def check_images(images: Tensor, image_size: tuple[int, int]) -> None:
    """Raise unless `images` are floating point (N, 3, H, W) of that size."""
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, *image_size):
        raise ValueError(
            f"images: expected shape (N, 3, {image_size[0]}, {image_size[1]}), got {tuple(images.shape)}; "
            "resize them, or create the model with their image_size"
        )
    if not images.is_floating_point():
        raise TypeError(f"images: expected floating point from 0 to 1, got {images.dtype}; divide by 255")
