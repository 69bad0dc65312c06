"""What the models say to input that they do not take."""

from __future__ import annotations

from torch import Tensor


def check_images(images: Tensor, size: tuple[int, int]) -> None:
    """Raise unless `images` are floating point (N, 3, H, W) of that size."""
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, *size):
        raise ValueError(
            f"images: expected shape (N, 3, {size[0]}, {size[1]}), got {tuple(images.shape)}; "
            "resize them, or create the model with their image_size"
        )
    if not images.is_floating_point():
        raise TypeError(f"images: expected floating point from 0 to 1, got {images.dtype}; divide by 255")
