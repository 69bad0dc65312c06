"""`create`: from a name to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .building import backbone as build_backbone
from .building import feature_count
from .features import Backbone, Channels
from .initialise import HEAD, generator_of
from .models import Head, PlainCnn, Transfer
from .recipes import recipe

if TYPE_CHECKING:
    from .pretrained import Weights

_CHANNELS = {"thesis-1": (16, 64, 128), "thesis-2": (16, 64, 128, 128)}


def create(
    name: str,
    *,
    weights: Weights | None = None,
    backbone: str = "vgg16",
    image_size: tuple[int, int] | int = (150, 150),
    seed: int | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    partial: bool = False,
) -> nn.Module:
    """One of the thesis's models, ready to be trained.

    It takes float32 images (N, 3, H, W) from 0 to 1 ("thesis-3": the backbone's features (N, F)), and gives
    the probability (N, 1) of class 1 in float32. Of "thesis-4" only the head trains, of "thesis-5" and its
    variants the backbone's last two blocks too: the other parameters have ``requires_grad`` False.

    Args:
        name: one of `names()`.
        weights, mean, std, partial: of the backbone, see `backbone`; left out for models without one.
        backbone: one of `backbones()`; "thesis-3" takes its features. Ignored by "thesis-1" and "thesis-2".
        image_size: (height, width) in pixels, or one number for both.
        seed: of the initial weights; the same head for the same seed, whatever the weights of the backbone.
            None: torch's global generator; else that one is left alone.

    Raises:
        As `backbone`; ValueError also for weights where there is no backbone.
    """
    plan = recipe(name)
    generator = generator_of(seed, HEAD)
    if plan.backbone in (None, "features"):
        given = {"weights": weights, "mean": mean, "std": std, "partial": partial or None}
        for argument, value in given.items():
            if value is not None:
                where = "; give it to zoo.backbone, whose features it takes" if plan.backbone else ""
                raise ValueError(f"{argument}: {name} has no backbone inside, got {value!r}{where}")
    if plan.backbone is None:
        return PlainCnn(
            _CHANNELS[name],
            image_size=image_size,
            dense=plan.dense,
            dropout=plan.dropout,
            generator=generator,
        )
    if plan.backbone == "features":
        features = feature_count(backbone, image_size)
        return Head(features, plan.dense, dropout=plan.dropout, generator=generator)
    below = build_backbone(
        backbone, weights=weights, image_size=image_size, mean=mean, std=std, partial=partial, seed=seed
    )
    below.requires_grad_(False)
    if plan.backbone == "fine-tuned":
        _train_last(below, plan.fine_tuned_blocks)
    return Transfer(below, Head(below.features, plan.dense, dropout=plan.dropout, generator=generator))


def _train_last(backbone: Backbone, blocks: int) -> None:
    for paths in list(backbone.blocks.values())[-blocks:]:
        for path in paths:
            backbone.get_submodule(path).requires_grad_(True)
