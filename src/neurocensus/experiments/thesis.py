"""The thesis's exploration phase: five macro-models and three micro-models on two classes of images.

Source: J. Smith, *Qualitative Assessment Metrics for Transfer Learning*, sections 3.2 and 4.2 and appendix 3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .trial import Splits, Trial

if TYPE_CHECKING:
    from torch import nn

    from ..training import Settings
    from ..zoo import Backbone, Recipe

MACRO = ("thesis-1", "thesis-2", "thesis-3", "thesis-4", "thesis-5")
MICRO = ("thesis-5", "thesis-5a", "thesis-5b", "thesis-5c")
TITLES = {
    "macro": "Macro-models: from a plain CNN to a fine-tuned, pretrained one",
    "micro": "Micro-models: small changes of the fine-tuned one",
}
_NAMES = {"macro": MACRO, "micro": MICRO}
SIZES = (3000, 1000, 1000)
"""Images to train, validate and test with (table 3.13)."""


@dataclass(frozen=True)
class Setup:
    """What the user chooses; the defaults are as published.

    Args:
        data: images, see `neurocensus.data.open_images`.
        backbone, weights, mean, std: of the transfer models, see `neurocensus.zoo.create`.
        image_size: (height, width).
        scale: share of the published images and epochs, above 0 and at most 1.
        epochs: instead of the published number of epochs, for every model.
        patience: stop when the validation loss has not fallen for so many epochs.
        seed: of the split, the initial weights, the order of the batches, augmentation and dropout.
        device, precision: see `neurocensus.training.Settings`.
        workers: processes that decode images; None chooses.
    """

    data: str
    backbone: str = "vgg16"
    weights: str | None = "DEFAULT"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    image_size: tuple[int, int] = (150, 150)
    scale: float = 1.0
    epochs: int | None = None
    patience: int | None = None
    seed: int = 0
    device: str = "cpu"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(
                f"scale: expected a share above 0 and at most 1, got {self.scale}; 1 is all 3000 training "
                "images and all epochs"
            )
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs: expected at least 1, got {self.epochs}")

    def facts(self) -> list[tuple[str, str]]:
        """Labels and values, for a report."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["weights"] = self.weights or "random"
        for name in ("data", "weights"):  # a report is shown to people who have other folders
            values[name] = Path(values[name]).resolve().name  # of "." too
        values["image_size"] = "{} x {} (height x width)".format(*self.image_size)
        return [(name.replace("_", " "), str(value)) for name, value in values.items() if value is not None]


def choose(experiment: str, only: str | None = None) -> tuple[str, ...]:
    """The names of an experiment's models, or those of them that `only` names between commas.

    Raises:
        ValueError: one that is not among them.
    """
    names = _NAMES[experiment]
    if only is None:
        return names
    wanted = [part.strip() for part in only.split(",") if part.strip()]
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise ValueError(
            f"only: {experiment} has no model {', '.join(map(repr, unknown or ['']))}; it has "
            f"{', '.join(names)}"
        )
    return tuple(name for name in names if name in wanted)


def trials(names: tuple[str, ...], setup: Setup, *, cache: Path, progress: bool = True) -> list[Trial]:
    """The trials of these models, on one split of one data set.

    Args:
        cache: folder for resized images and bottleneck features.
        progress: show bars while these are made, on a terminal only.

    Raises:
        ValueError, FileNotFoundError: what `open_images` and `split` raise, and data that does not have
            two classes.
    """
    from .. import zoo
    from ..data import augmentation

    # What is wrong is better said now than after the first training, and before any image is decoded.
    recipes = {name: zoo.recipe(name) for name in names}
    settings = {name: _settings(recipe, setup) for name, recipe in recipes.items()}
    images = _images(setup, cache, progress)
    if any(recipe.backbone for recipe in recipes.values()):
        _backbone(setup)
    images()
    return [
        Trial(
            name=name,
            title=recipe.title,
            build=functools.partial(_build, name, setup),
            splits=functools.partial(_features, setup, images, cache, progress)
            if recipe.backbone == "features"
            else images,
            settings=settings[name],
            augment=augmentation() if recipe.augment else None,
            transferred=recipe.backbone == "fine-tuned",
        )
        for name, recipe in recipes.items()
    ]


def _build(name: str, setup: Setup) -> nn.Module:
    from .. import zoo

    size, seed = setup.image_size, setup.seed
    if zoo.recipe(name).backbone in (None, "features"):  # the latter takes the features of `_features`
        return zoo.create(name, backbone=setup.backbone, image_size=size, seed=seed)
    return zoo.create(
        name,
        weights=setup.weights,
        backbone=setup.backbone,
        image_size=size,
        mean=setup.mean,
        std=setup.std,
        seed=seed,
    )


def _settings(recipe: Recipe, setup: Setup) -> Settings:
    from ..training import Settings

    return Settings(
        epochs=setup.epochs or max(1, round(recipe.epochs * setup.scale)),
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        seed=setup.seed,
        patience=setup.patience,
        precision=setup.precision,
        device=setup.device,
    )


def _images(setup: Setup, cache: Path, progress: bool) -> Callable[[], Splits]:
    """A function that decodes the images; they are found and split now."""
    from ..data import load, open_images, split

    images = open_images(setup.data)
    if len(images.classes) != 2:
        raise ValueError(
            f"data: expected two classes, which these models tell apart, got {len(images.classes)} in "
            f"{setup.data}: {', '.join(images.classes)}; leave two of them there"
        )
    chosen = split(images, SIZES, seed=setup.seed, scale=setup.scale)
    take = functools.partial(
        load, images, size=setup.image_size, cache=cache, workers=setup.workers, progress=progress
    )

    @functools.cache
    def splits() -> Splits:
        return Splits(*map(take, chosen))

    return splits


def _features(setup: Setup, images: Callable[[], Splits], cache: Path, progress: bool) -> Splits:
    """The images' bottleneck features: the published third model is trained on these alone."""
    from ..transfer import bottleneck

    backbone = _backbone(setup)
    return Splits(
        *(
            bottleneck(backbone, examples, cache=cache, device=setup.device, progress=progress)
            for examples in images()
        )
    )


def _backbone(setup: Setup) -> Backbone:
    from .. import zoo

    return zoo.backbone(
        setup.backbone,
        weights=setup.weights,
        image_size=setup.image_size,
        mean=setup.mean,
        std=setup.std,
        seed=setup.seed,
    )
