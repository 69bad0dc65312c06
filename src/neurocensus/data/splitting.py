"""Training, validation and test sets, balanced exactly by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import integer
from .labelled import SPLITS, Images

Indices = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Positions of the images of each part, ascending, int64."""

    train: Indices
    validation: Indices
    test: Indices


def split(
    images_or_labels: Images | npt.ArrayLike,
    sizes: Sequence[int] = (3000, 1000, 1000),
    *,
    seed: int = 0,
    scale: float = 1.0,
) -> Split:
    """Draw disjoint training, validation and test sets, with equally many images of each class.

    Where the data set has splits of its own (`Images.split`), each part is drawn inside its own. A
    validation or test part that the data set lacks is drawn from its training images, beside training.

    Args:
        images_or_labels: images, or their labels: integers (N,).
        sizes: images of the three parts; the default is as published. Multiples of the number of classes;
            0 leaves a part empty.
        seed: of the draw, 0 or more. The same seed, sizes and labels give the same parts.
        scale: share of the sizes to draw, above 0 and up to 1; at least one image of each class.

    Raises:
        TypeError: labels, sizes or a seed that are no integers.
        ValueError: fewer images than wanted, sizes that cannot be balanced, a scale or seed out of range.
    """
    labels, classes, own = _unpack(images_or_labels)
    counts = _per_class(sizes, len(classes), scale)
    seed = integer("seed", seed, 0)
    # Without splits of its own, all of the data set is there to train on.
    where = np.full(len(labels), "train") if own is None else own
    pools = [part if (where == part).any() else "train" for part in SPLITS]

    parts: list[list[Indices]] = [[], [], []]
    for label, name in enumerate(classes):
        generator = np.random.default_rng((seed, label))
        left = {
            pool: generator.permutation(np.flatnonzero((labels == label) & (where == pool)))
            for pool in SPLITS
        }
        for pool, have in left.items():
            wanted = sum(count for count, of in zip(counts, pools, strict=True) if of == pool)
            if wanted > len(have):
                inside = "" if own is None else f" in its {pool} split"
                raise ValueError(
                    f"sizes: expected {wanted} images of class {name!r}{inside}, got {len(have)}; choose "
                    f"smaller sizes, or a scale up to {_floor(scale * len(have) / wanted)}"
                )
        for part, pool, count in zip(parts, pools, counts, strict=True):
            part.append(left[pool][:count])
            left[pool] = left[pool][count:]
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def _unpack(given: Any) -> tuple[npt.NDArray[Any], Sequence[Any], npt.NDArray[np.str_] | None]:
    """Labels as positions among the classes, the classes, and the part of each image if predefined."""
    if isinstance(given, Images):
        return given.labels, given.classes, given.split
    labels = np.asarray(given)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers of shape (N,), got {labels.dtype} {labels.shape}")
    classes, positions = np.unique(labels, return_inverse=True)
    return positions, classes.tolist(), None


def _per_class(sizes: Sequence[int], classes: int, scale: float) -> list[int]:
    """Images of each class in each part."""
    if np.ndim(sizes) != 1:
        raise TypeError(f"sizes: expected three, for training, validation and test, got {sizes!r}")
    sizes = [integer("sizes", size) for size in sizes]
    if len(sizes) != len(SPLITS) or min(sizes) < 0 or not any(sizes):
        raise ValueError(f"sizes: expected images for training, validation and test, got {sizes}")
    if not classes or any(size % classes for size in sizes):
        raise ValueError(f"sizes: expected multiples of {classes}, the number of classes, got {sizes}")
    if not 0 < scale <= 1:
        raise ValueError(f"scale: expected a share above 0 and up to 1, got {scale}")
    return [max(1, round(size * scale / classes)) if size else 0 for size in sizes]


def _floor(share: float) -> float:
    return math.floor(share * 1000) / 1000
