"""`augmentation`: what training images go through. Importing this needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def augmentation(
    *,
    zoom: float = 0.3,
    rotation: float = 50.0,
    shift: float = 0.2,
    shear: float = 0.2,
    flip: bool = True,
) -> nn.Module:
    """Random rotation, shift, shear, zoom and flip of training images, as published.

    A module for batches (N, channels, H, W) of any floating-point dtype, on any device. Each image gets
    numbers of its own, seven to an image, from torch's global generator on the CPU: a loop that seeds it
    repeats exactly, and a GPU sees the images that the CPU sees. `train()` and `eval()` make no difference.

    The composition is that of Keras 2.2 (``ImageDataGenerator``), the ranges are those of the thesis, and so
    is the fill: outside of the image its nearest pixel counts. What differs: rotation and zoom are about
    the true centre of the image (Keras 2.2 was one pixel off, later versions are not), and the random
    numbers are others. Resampling is torch's own ``grid_sample``.

    Neither library that has such transforms gives this one. torchvision's v2 ``RandomAffine`` fills with a
    constant only. kornia's fills as published but composes in another order, and its scale enlarges where
    Keras's zoom shrinks, so that other images come out.

    Args:
        zoom: rows and columns are zoomed apart, by factors in [1 - zoom, 1 + zoom]; above 1 the image
            shrinks.
        rotation: degrees, either way.
        shift: share of height and width, either way.
        shear: degrees, either way. The published 0.2 hardly shows; early versions of Keras took radians.
        flip: left and right, half of the images.

    Raises:
        ValueError: zoom or shift not in [0, 1), rotation not in [0, 180), shear not in [0, 90).
    """
    from .augment import Augmentation

    return Augmentation(zoom=zoom, rotation=rotation, shift=shift, shear=shear, flip=flip)
