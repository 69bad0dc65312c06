"""The thesis's five macro-models at the size of scanned digits: transfer from a rich source to a poor target.

Eight by eight pixels, from the UCI set of handwritten digits that comes with scikit-learn. The digits 0 to 4
are the source, with all the scans there are; 5 to 9 are the target, with `TRAIN_PER_CLASS` scans of each to
train with. The layers are fewer and the learning rates higher than published, to fit the images and a minute.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from .. import data
from ..data import Examples
from ..training import Settings
from ..zoo import Head, Transfer
from .trial import Splits, Trial

if TYPE_CHECKING:
    import numpy.typing as npt

SOURCE = (0, 1, 2, 3, 4)
TARGET = (5, 6, 7, 8, 9)
TRAIN_PER_CLASS = 20
VALIDATION_PER_CLASS = 20
DENSE = (128, 128)
DROPOUT = 0.3
BATCH_SIZE = 20
EPOCHS = 60
SOURCE_EPOCHS = 30


def load_digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The scans, float32 of shape (1797, 1, 8, 8) in [0, 1], and their digits, int64.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the demo's images come with scikit-learn, which is not installed; "
            "pip install 'neurocensus[demo]'"
        ) from error
    scans = datasets.load_digits()
    return (scans.images / 16).astype(np.float32)[:, None], scans.target.astype(np.int64)


def load_splits(digits: tuple[int, ...], train: int | None, validation: int, *, seed: int) -> Splits:
    """Scans of these digits, drawn by class; what is neither trained nor validated with is the test set.

    Args:
        train, validation: scans per class; `train` None takes three quarters of what validation leaves.
    """
    images, labels = load_digits()
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for digit in digits:
        found = rng.permutation(np.flatnonzero(labels == digit)).tolist()
        first = validation + (train or 3 * (len(found) - validation) // 4)
        for part, chosen in zip(
            parts, (found[validation:first], found[:validation], found[first:]), strict=True
        ):
            part.extend(chosen)
    names = tuple(map(str, digits))
    return Splits(
        *(
            Examples(images[sorted(part)], np.searchsorted(digits, labels[sorted(part)]), names)
            for part in parts
        )
    )


class Convolutions(nn.Sequential):
    """Two convolutions and a pooling: images (N, 1, 8, 8) to features (N, 1024)."""

    features = 64 * 4 * 4

    def __init__(self) -> None:
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(1, 32, 3, padding=1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 3, padding=1),
                relu2=nn.ReLU(),
                pool=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
            )
        )


class Backbone(Convolutions):
    """`Convolutions` that count as one layer, as the pretrained part does in the published models."""

    audited_whole = True
    blocks = {"block1": ("conv1",), "block2": ("conv2",)}  # noqa: RUF012


def augmentation() -> nn.Module:
    """By at most 10 degrees and one pixel: a digit has no mirror image, and eight pixels little room."""
    return data.augmentation(rotation=10, shift=1 / 8, zoom=0, shear=0, flip=False)


def trials(folder: Path, *, seed: int = 0, epochs: int | None = None, progress: bool = True) -> list[Trial]:
    """The five models on the poor target, after training the source network that three of them start from.

    Args:
        folder: gets the source network's training and the cached features.
        epochs: instead of `EPOCHS` and `SOURCE_EPOCHS`.
    """
    target = load_splits(TARGET, TRAIN_PER_CLASS, VALIDATION_PER_CLASS, seed=seed)
    source = _source(folder / "source", seed=seed, epochs=epochs or SOURCE_EPOCHS, progress=progress)
    features = functools.partial(_features, source, target, folder / "cache")
    settings = functools.partial(Settings, epochs=epochs or EPOCHS, batch_size=BATCH_SIZE, seed=seed)

    def trial(number: int, title: str, build: Callable[[], nn.Module], rate: float, **rest: Any) -> Trial:
        return Trial(
            name=f"digits-{number}",
            title=title,
            build=functools.partial(_seeded, build, seed),
            settings=settings(learning_rate=rate),
            **{"splits": lambda: target, **rest},
        )

    return [
        trial(1, "basic cnn", functools.partial(_cnn, 0.0), 1e-3),
        trial(2, "img aug cnn", functools.partial(_cnn, DROPOUT), 1e-3, augment=augmentation()),
        trial(3, "transfer cnn", _head, 1e-3, splits=features),
        trial(4, "tl img aug cnn", functools.partial(_transfer, source, False), 1e-3, augment=augmentation()),
        trial(
            5,
            "tl img aug ft cnn",
            functools.partial(_transfer, source, True),
            5e-4,
            augment=augmentation(),
            transferred=True,
        ),
    ]


def _head(dropout: float = DROPOUT) -> Head:
    return Head(Convolutions.features, DENSE, classes=len(TARGET), dropout=dropout)


def _cnn(dropout: float) -> nn.Module:
    return nn.Sequential(OrderedDict(convolutions=Convolutions(), head=_head(dropout)))


def _transfer(source: Backbone, fine_tuned: bool) -> nn.Module:
    from ..transfer import freeze, unfreeze_from

    backbone = Backbone()
    backbone.load_state_dict(source.state_dict())
    model = Transfer(backbone, _head())
    freeze(backbone)
    if fine_tuned:
        unfreeze_from(model, "block2")
    return model


def _source(folder: Path, *, seed: int, epochs: int, progress: bool) -> Backbone:
    from ..training import fit

    splits = load_splits(SOURCE, None, VALIDATION_PER_CLASS, seed=seed)
    backbone = Backbone()
    model = _seeded(lambda: Transfer(Backbone(), _head()), seed)
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(epochs=epochs, learning_rate=1e-3, batch_size=BATCH_SIZE, seed=seed)
    fit(
        model,
        splits.train,
        splits.validation,
        settings,
        folder=folder,
        augment=augmentation(),
        progress=progress,
    )
    backbone.load_state_dict(model.backbone.state_dict())
    return backbone


def _features(source: Backbone, target: Splits, cache: Path) -> Splits:
    from ..transfer import bottleneck

    return Splits(*(bottleneck(source, examples, cache=cache) for examples in target))


def _seeded(build: Callable[[], nn.Module], seed: int) -> Any:
    """A model whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
