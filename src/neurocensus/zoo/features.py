"""`Backbone`: from images to a flat vector of features."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from ..arguments import height_width, per_channel
from .images import check_images

Channels: TypeAlias = Sequence[float] | float
# Of the images that torchvision's weights were trained on.
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Layers in a row, from images to features.

    Takes float images (N, 3, H, W) from 0 to 1, RGB, normalises them, and gives features (N, F), flattened.
    An audit with ``layers="published"`` takes it as one layer of F units.

    Args:
        name: for people.
        layers: module name to module, in the order in which they run.
        image_size: (height, width) in pixels, or one number for both.
        blocks: block name to the paths of the modules in it below `layers`, in order; default: each of
            `layers` is one.
        mean, std: subtracted from the images and divided by; one number each, or three.

    Attributes:
        layers: the modules in a row.
        blocks: block name to the module paths in it, below the backbone.
        features: how many, F.
        notes: what was done when weights were loaded.

    Raises:
        ValueError: `mean` or `std` are neither one nor three finite numbers, or a `std` is not positive.
        TypeError: an image size, mean or std of no numbers.
    """

    audited_whole = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        layers: Mapping[str, nn.Module],
        *,
        image_size: tuple[int, int] | int,
        blocks: Mapping[str, Sequence[str]] | None = None,
        mean: Channels = IMAGENET_MEAN,
        std: Channels = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.name, self.image_size = name, height_width("image_size", image_size)
        self.notes: tuple[str, ...] = ()
        self.layers = nn.Sequential(OrderedDict(layers))
        blocks = {key: (key,) for key in layers} if blocks is None else blocks
        self.blocks = {key: tuple(f"layers.{path}" for path in paths) for key, paths in blocks.items()}
        self.register_buffer("mean", _buffer("mean", mean))
        self.register_buffer("std", _buffer("std", std))
        self.features = self._count()

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, F) of images (N, 3, H, W) from 0 to 1.

        Raises:
            ValueError: images of another shape.
            TypeError: images that are not floating point.
        """
        check_images(images, self.image_size)
        features: Tensor = self.layers((images - self.mean) / self.std)
        return features.flatten(1)

    def extra_repr(self) -> str:
        """What tells one backbone from another."""
        return f"{self.name}, image_size={self.image_size}, features={self.features}"

    def _count(self) -> int:
        """How many features, by a forward without values."""
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
        images = torch.empty(2, 3, *self.image_size, device="meta")  # a batch norm that trains needs two
        with torch.no_grad():
            return int(torch.func.functional_call(self, shapes, (images,)).shape[1])


def _buffer(argument: str, values: Channels) -> Tensor:
    """Three numbers as float32 of shape (3, 1, 1), to go with images."""
    return torch.tensor(per_channel(argument, values, 3)).expand(3).reshape(3, 1, 1).clone()
