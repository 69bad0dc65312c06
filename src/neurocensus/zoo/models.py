"""The parts of the thesis's models: the classifier, the plain network, and the two joined by transfer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..arguments import height_width, integer
from .images import check_images
from .initialise import initialise


class Probability(nn.Sigmoid):
    """A sigmoid in float32, also under autocast: float16 cannot tell 1 - 1e-4 from 1."""

    def forward(self, input: Tensor) -> Tensor:
        """Float32 probabilities, of the shape of the logits."""
        return super().forward(input.float())


class Head(nn.Sequential):
    """Dense layers with ReLU and dropout, and an output: features (N, F) to probabilities or logits.

    Args:
        features: F.
        dense: neurons of the dense layers.
        dropout: after each of them; 0: none.
        classes: 2: one probability (N, 1), of class 1; more: logits (N, classes).
        generator: of the initial weights; default torch's global one.

    Raises:
        TypeError: features, neurons or classes that are no integers.
        ValueError: fewer than two classes, a width below 1, a dropout outside of [0, 1).
    """

    def __init__(
        self,
        features: int,
        dense: Sequence[int] = (512, 512),
        *,
        dropout: float = 0.3,
        classes: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        classes, width = integer("classes", classes, 2), integer("features", features, 1)
        dense = [integer("dense", neurons, 1) for neurons in dense]
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a share from 0 to below 1, got {dropout}")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for k, neurons in enumerate(dense, 1):
            layers[f"dense{k}"] = _empty(nn.Linear, width, neurons)
            layers[f"relu{k}"] = nn.ReLU()
            if dropout:
                layers[f"dropout{k}"] = nn.Dropout(dropout)
            width = neurons
        layers["output"] = _empty(nn.Linear, width, 1 if classes == 2 else classes)
        if classes == 2:
            layers["probability"] = Probability()
        super().__init__(layers)
        initialise(self, generator)


class PlainCnn(nn.Sequential):
    """Convolutions with ReLU and max-pooling, and a head: models 1 and 2 of the thesis.

    Takes float images (N, 3, H, W) from 0 to 1, gives what its head gives.

    Args:
        channels: of the 3 x 3 convolutions, which have no padding; each is pooled 2 x 2.
        image_size: (height, width) in pixels, or one number for both.
        dense, dropout, classes, generator: see `Head`.

    Raises:
        TypeError: `image_size` is neither one integer nor two.
        ValueError: `image_size` leaves nothing after the last pooling.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        image_size: tuple[int, int] | int = (150, 150),
        dense: Sequence[int] = (512,),
        dropout: float = 0.0,
        classes: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        minimum = 1
        for _ in channels:
            minimum = 2 * minimum + 2
        size = height_width("image_size", image_size, minimum, f"a network of {len(channels)} convolutions")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before, (height, width) = 3, size
        for k, after in enumerate(channels, 1):
            layers[f"conv{k}"] = _empty(nn.Conv2d, before, after, 3)
            layers[f"relu{k}"] = nn.ReLU()
            layers[f"pool{k}"] = nn.MaxPool2d(2)
            before, height, width = after, (height - 2) // 2, (width - 2) // 2
        layers["flatten"] = nn.Flatten()
        super().__init__(layers)
        initialise(self, generator)
        features = before * height * width
        self.head = Head(features, dense, dropout=dropout, classes=classes, generator=generator)
        self.image_size = size

    def forward(self, input: Tensor) -> Tensor:
        """What the head gives for images (N, 3, H, W)."""
        check_images(input, self.image_size)
        return super().forward(input)  # type: ignore[no-any-return, no-untyped-call]


class Transfer(nn.Module):
    """A backbone and a head upon its features: models 4 and 5 of the thesis.

    Args:
        backbone: any module that gives features (N, F).
        head: what takes them.
    """

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        """What the head gives for what the backbone takes."""
        return self.head(self.backbone(images))  # type: ignore[no-any-return]


def _empty(layer: type[nn.Module], *sizes: int) -> nn.Module:
    """A layer whose weights are not drawn yet: torch's own way to would use up random numbers."""
    return torch.nn.utils.skip_init(layer, *sizes)  # type: ignore[no-any-return, no-untyped-call]
