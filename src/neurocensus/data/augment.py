"""The published augmentation: Keras's affine transform and flip, on batches, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_RANGES = {"zoom": 1.0, "rotation": 180.0, "shift": 1.0, "shear": 90.0}  # name: what it stays below
_DRAWS = 7  # random numbers to an image, whatever the ranges


class Augmentation(nn.Module):
    """See `neurocensus.data.augmentation`."""

    def __init__(self, *, zoom: float, rotation: float, shift: float, shear: float, flip: bool) -> None:
        super().__init__()
        self.zoom, self.rotation, self.shift, self.shear, self.flip = zoom, rotation, shift, shear, flip
        for name, limit in _RANGES.items():
            if not 0 <= getattr(self, name) < limit:
                raise ValueError(
                    f"{name}: expected a number from 0 to below {limit:g}, got {getattr(self, name)}"
                )

    def extra_repr(self) -> str:
        """The ranges."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in (*_RANGES, "flip"))

    def forward(self, images: Tensor) -> Tensor:
        """Transform each image by random numbers of its own.

        Args:
            images: floating point (N, channels, H, W).

        Returns:
            As many of the same shape and dtype.
        """
        if images.dim() != 4 or not images.is_floating_point():
            raise TypeError(
                "images: expected a floating-point batch (N, channels, H, W), got "
                f"{images.dtype} of shape {tuple(images.shape)}; batches of data.batches are such"
            )
        # Drawn on the CPU, so that every device sees the same images.
        draws = torch.rand(len(images), _DRAWS, dtype=torch.float32, device="cpu")
        spread = 2 * draws - 1  # in [-1, 1)
        size = torch.tensor(images.shape[2:], device="cpu")
        matrices, offsets = affine(
            rotation=self.rotation * spread[:, 0],
            shift=self.shift * spread[:, 1:3] * size,
            shear=self.shear * spread[:, 3],
            zoom=1 + self.zoom * spread[:, 4:6],
            flip=(draws[:, 6] < 0.5) & self.flip,
        )
        return warp(images, matrices, offsets)


def affine(
    *, rotation: Tensor, shift: Tensor, shear: Tensor, zoom: Tensor, flip: Tensor
) -> tuple[Tensor, Tensor]:
    """From output to input pixels: ``input = matrix @ output + offset``, as Keras composes it.

    That is rotation @ shift @ shear @ zoom, then the flip. Coordinates are (row, column) from the centre of
    the image.

    Args:
        rotation, shear: degrees (N,).
        shift: pixels (N, 2), of rows and columns.
        zoom: factors (N, 2), of rows and columns; above 1 the image shrinks.
        flip: left and right, bool (N,).

    Returns:
        Matrices (N, 2, 2) and offsets (N, 2).
    """
    # Written out: under autocast a matrix product would lose bits.
    turn, slanted = torch.deg2rad(rotation), torch.deg2rad(rotation + shear)
    rotating = torch.stack((turn.cos(), -turn.sin(), turn.sin(), turn.cos()), 1).view(-1, 2, 2)
    sheared = torch.stack((turn.cos(), -slanted.sin(), turn.sin(), slanted.cos()), 1).view(-1, 2, 2)
    ones = torch.ones_like(turn)
    flipping = torch.stack((ones, torch.where(flip, -ones, ones)), 1)
    return sheared * (zoom * flipping)[:, None, :], (rotating * shift[:, None, :]).sum(2)


def warp(images: Tensor, matrices: Tensor, offsets: Tensor) -> Tensor:
    """Resample images, bilinear; outside of the input its nearest pixel counts.

    Args:
        images: floating point (N, channels, H, W).
        matrices, offsets: see `affine`; on any device.
    """
    dtype = torch.promote_types(images.dtype, torch.float32)  # float16 has no room for coordinates
    height, width = images.shape[2:]
    rows = torch.arange(height, dtype=dtype, device=images.device) - (height - 1) / 2
    columns = torch.arange(width, dtype=dtype, device=images.device) - (width - 1) / 2
    matrices = matrices.to(images.device, dtype, non_blocking=True)[:, :, :, None, None]
    offsets = offsets.to(images.device, dtype, non_blocking=True)[:, :, None, None]
    # Not by `affine_grid`, which is a matrix product: under autocast and in TF32 it loses bits.
    source = matrices[:, :, 0] * rows[:, None] + matrices[:, :, 1] * columns + offsets
    grid = torch.stack((source[:, 1] * (2 / width), source[:, 0] * (2 / height)), -1)  # (x, y) in [-1, 1]
    warped = F.grid_sample(images.to(dtype), grid, padding_mode="border", align_corners=False)
    return warped.to(images.dtype)
