"""`backbone`: from a name to the feature part of a network, with its weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..arguments import height_width
from .architectures import ARCHITECTURES, network
from .features import Backbone, Channels
from .initialise import BACKBONE, generator_of, initialise, reset_norms
from .names import unknown
from .pretrained import Weights, load, normalisation, read


def backbones() -> tuple[str, ...]:
    """The names that `backbone` takes."""
    return tuple(ARCHITECTURES)


def backbone(
    name: str,
    *,
    weights: Weights | None = None,
    image_size: tuple[int, int] | int = (150, 150),
    mean: Channels | None = None,
    std: Channels | None = None,
    partial: bool = False,
    seed: int | None = None,
) -> Backbone:
    """The feature part of one of torchvision's networks.

    Args:
        name: one of `backbones()`.
        weights: None (random, as Keras does it); a name of torchvision's ("DEFAULT", "IMAGENET1K_V1"), which
            downloads them; or a file with torchvision's names of tensors: safetensors, a torch checkpoint of
            tensors, ``.npz``. A classifier in it is not used. Where batch norms are folded into the
            convolutions before them, so they are in the backbone. What was saved of a backbone, or of a model
            with one inside, may be such a file.
        image_size: (height, width) in pixels, or one number for both.
        mean, std: what the weights want images normalised by, three numbers each or one for all channels;
            default: what they come with, else what torchvision's weights of this network want.
        partial: take a file that lacks tensors; these stay random.
        seed: of what is random; None: torch's global generator. Nothing is drawn where weights are complete.

    Returns:
        A backbone whose `notes` say what was ignored, converted or missing.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        TypeError: an image size, mean, std or seed of the wrong type.
        ValueError: an unknown name, an image size below the minimum, weights that do not fit or are not
            finite.
        FileNotFoundError, IsADirectoryError: no such file of weights.
        ConnectionError: torchvision's weights could not be downloaded.
    """
    size = _checked(name, image_size)
    given = normalisation(mean, std)
    loaded = None if weights is None else read(name, weights)
    stated = None if loaded is None else loaded.normalisation
    skeleton = _skeleton(name, size, *(given or stated or ARCHITECTURES[name].normalisation))
    built = skeleton.backbone
    built.layers.to_empty(device="cpu")
    reset_norms(built)
    if loaded is None or partial:
        initialise(built, generator_of(seed, BACKBONE))
    if loaded is not None:
        load(built, loaded, head=skeleton.head, partial=partial)
    return built


def feature_count(name: str, image_size: tuple[int, int] | int) -> int:
    """How many features `backbone` gives; neither memory nor random numbers are used."""
    return _skeleton(name, _checked(name, image_size), *ARCHITECTURES[name].normalisation).backbone.features


@dataclass(frozen=True)
class _Skeleton:
    """A backbone without values, and the names of torchvision's modules that are not in it."""

    backbone: Backbone
    head: frozenset[str]


def _checked(name: str, image_size: tuple[int, int] | int) -> tuple[int, int]:
    """The size as (height, width), if there is such a backbone and it takes images of this size."""
    if name not in ARCHITECTURES:
        raise unknown("backbone", name, ARCHITECTURES)
    return height_width("image_size", image_size, ARCHITECTURES[name].minimum, name)


def _skeleton(name: str, size: tuple[int, int], mean: Channels, std: Channels) -> _Skeleton:
    architecture = ARCHITECTURES[name]
    whole = dict(network(name).named_children())
    layers = {key: whole.pop(key) for key in architecture.layers}
    if architecture.last_relu:
        layers["relu"] = nn.ReLU(inplace=True)
    built = Backbone(name, layers, image_size=size, blocks=architecture.blocks, mean=mean, std=std)
    return _Skeleton(built, frozenset(whole))
