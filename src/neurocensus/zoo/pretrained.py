"""Pre-trained weights for a backbone, from torchvision or from a file."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from .._torchvision import import_torchvision
from ..weights import Misfit, load_tensors, read_weights, strip_prefixes
from .architectures import ARCHITECTURES
from .features import Backbone, Channels
from .folding import fold, is_folded
from .names import unknown

Weights: TypeAlias = "str | PathLike[str]"
Normalisation: TypeAlias = tuple[Channels, Channels]
# DenseNet's weights are older than torchvision's names of its layers: "norm.1" is "norm1" now.
_OLD_DENSE_LAYER = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


@dataclass(frozen=True)
class Loaded:
    """Weights by torchvision's names, where they are from, and the normalisation that they state, if any."""

    tensors: dict[str, Tensor]
    source: str
    normalisation: Normalisation | None = None
    notes: tuple[str, ...] = ()


def normalisation(mean: Channels | None, std: Channels | None) -> Normalisation | None:
    """Mean and std as the user gave them; None if neither was given.

    Raises:
        ValueError: one without the other.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise ValueError(f"mean, std: expected both or neither, got mean={mean!r} and std={std!r}")
    return mean, std


def read(name: str, weights: Weights) -> Loaded:
    """Weights for the backbone `name`: torchvision's of that name, or a file.

    Raises:
        ValueError: neither a name nor a file; a file that cannot be read as weights.
        FileNotFoundError: no such file.
        ConnectionError: torchvision's weights could not be downloaded.
    """
    path = Path(weights)
    looks_like_a_path = not isinstance(weights, str) or bool(path.suffix) or path.name != weights
    if looks_like_a_path or path.is_file():
        return _from_file(path)
    published = import_torchvision().models.get_model_weights(name)
    if weights not in published.__members__:
        raise unknown("weights", weights, [*published.__members__, "the path of a file"])
    return _download(name, published[weights])


def _from_file(path: Path) -> Loaded:
    tensors, notes = strip_prefixes(read_weights(path), ())
    for prefix in ("", "backbone."):  # of a `Backbone` that was saved, alone or in a `Transfer`
        if {f"{prefix}mean", f"{prefix}std"} <= tensors.keys():
            mean, std = (tensors[prefix + part].flatten().tolist() for part in ("mean", "std"))
            below = f"{prefix}layers."
            inside = {key.removeprefix(below): t for key, t in tensors.items() if key.startswith(below)}
            return Loaded(
                inside, str(path), (mean, std), (*notes, "the weights are those of a saved backbone")
            )
    return Loaded(tensors, str(path), notes=tuple(notes))


def _download(name: str, entry: Any) -> Loaded:
    source = f"torchvision's {entry}"
    try:
        tensors = entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no network, no space; another file than was asked for
        raise ConnectionError(
            f"weights: {source} could not be downloaded: {error}. Fetch {entry.url} where there is a "
            "network, and give the path of the file"
        ) from error
    preset = entry.transforms()
    undone = name == "inception_v3"  # torchvision's forward undoes what its preset does
    stated = ARCHITECTURES[name].normalisation if undone else (preset.mean, preset.std)
    return Loaded(tensors, source, stated)


def load(backbone: Backbone, loaded: Loaded, *, head: Collection[str], partial: bool) -> None:
    """Load weights into a backbone, all of them or none, and note on it what was done.

    Args:
        head: torchvision's top-level modules that are no part of the backbone; their weights are ignored.
        partial: whether tensors may be missing; the backbone keeps its own there.

    Raises:
        ValueError: weights that do not fit: how many, the first names, and blocks without any; weights that
            are not finite, or of another kind of numbers.
    """
    layers, notes = backbone.layers, list(loaded.notes)
    tensors = {_OLD_DENSE_LAYER.sub(r"\1\2", key): tensor for key, tensor in loaded.tensors.items()}
    ignored = [key for key in tensors if key.partition(".")[0] in head]
    if ignored:
        names = ", ".join(sorted({key.partition(".")[0] for key in ignored}))
        notes.append(f"{len(ignored)} tensors of {names} are no part of the features and were ignored")
        tensors = {key: tensor for key, tensor in tensors.items() if key not in ignored}
    if not tensors:
        raise ValueError(f"weights: {loaded.source} holds none of the features of {backbone.name}")
    if is_folded(layers, tensors):
        fold(layers)
        notes.append("batch norms are folded into the convolutions, which have biases; the norms are gone")
    try:
        notes += load_tensors(layers, tensors, loaded.source, partial=partial)
    except Misfit as error:
        raise Misfit(f"{error}\n{_advice(backbone, set(tensors))}") from None
    backbone.notes = tuple(notes)


def _advice(backbone: Backbone, given: set[str]) -> str:
    """What to do about weights that do not fit: are they of another network, or of its first blocks only?"""
    expected = backbone.layers.state_dict().keys()
    blocks = {
        block: [key for key in expected if f"layers.{key}".startswith(tuple(f"{path}." for path in paths))]
        for block, paths in backbone.blocks.items()
    }
    found = [block for block, keys in blocks.items() if keys and given & set(keys)]
    absent = [block for block, keys in blocks.items() if keys and not given & set(keys)]
    if not found or not given <= expected:
        return f"Expected weights of {backbone.name} by torchvision's names; are these of another network?"
    if not absent:
        return f"Every block has some; are these weights of {backbone.name}, and is the file complete?"
    return (
        f"There are weights of {', '.join(found)}, and none of {', '.join(absent)}. Give a complete file, or "
        "partial=True to leave what is missing at its random initial values"
    )
