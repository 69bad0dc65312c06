"""``neurocensus audit --top``: the examples that activate each unit most, with their pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import note

if TYPE_CHECKING:
    from ..data.source import Data
    from ..explain import TopExamples

KEPT = 1024
"""Decoded images that are kept for the next layer's sheet."""


class Shown(NamedTuple):
    """What `save_top` takes; without images, `reason` says why."""

    images: Callable[[int], npt.NDArray[Any]] | None
    labels: Any = None
    classes: list[str] | None = None
    reason: str = ""


def save(top: TopExamples, folder: Path, data: str, source: Data, image_size: tuple[int, int] | None) -> None:
    """Write what was found beside an audit, and a contact sheet of each layer if the data are images."""
    from ..explain import save_top

    shown = pictures(data, source, image_size)
    if shown.reason:
        note(f"no contact sheets: {shown.reason}")
    save_top(top, folder, shown.images, labels=shown.labels, classes=shown.classes)


def pictures(data: str, source: Data, image_size: tuple[int, int] | None) -> Shown:
    """The examples of `source`, which was opened from `data` and has been read, as pictures by index."""
    from ..data.arrays import ArrayBatches
    from ..data.images import ImageFolder

    if Path(data).is_dir():
        folder = ImageFolder(data, image_size=image_size)
        skipped = {bad.path for bad in source.skipped}
        rows = [row for row, path in enumerate(folder.paths) if path not in skipped]

        @functools.lru_cache(KEPT)
        def one(index: int) -> npt.NDArray[Any]:
            found = folder[rows[index]]
            assert isinstance(found, tuple), found  # it could be read a moment ago
            return np.rint(found[0].transpose(1, 2, 0) * 255).astype(np.uint8)

        known = folder.classes or None
        return Shown(one, [folder.labels[row] for row in rows] if known else None, known)
    if isinstance(source.batches, ArrayBatches):
        x, y = source.batches.x, source.batches.y
        get = _picture_of(x)
        if get is None:
            return Shown(None, reason=f"examples of {x.dtype} and shape {x.shape[1:]} are no pictures")
        labelled = y is not None and y.ndim == 1 and y.dtype.kind in "iu" and y.min() >= 0
        return Shown(lambda index: get(x[index]), y if labelled else None)
    return Shown(
        None,
        reason="the examples of a factory cannot be fetched one by one; "
        "neurocensus.explain.plot_contact_sheet draws them, if you give it the images",
    )


def _picture_of(x: npt.NDArray[Any]) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
    """How an example of `x` becomes a picture (H, W) or (H, W, channels); None if it is none."""
    last = x.ndim == 4 and x.shape[-1] in (1, 3)
    first = x.ndim == 4 and x.shape[1] in (1, 3)
    if x.dtype == np.uint8 and (last or x.ndim == 3):
        return lambda one: one
    if x.dtype == np.uint8 and first:
        return lambda one: one.transpose(1, 2, 0)
    if x.dtype.kind == "f" and (first or last):
        return lambda one: _stretched(one.transpose(1, 2, 0) if first else one)
    return None


def _stretched(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floating point as it is if it is from 0 to 1; else what was normalised, from its least to its most."""
    finite = np.nan_to_num(pixels.astype(np.float64), posinf=0, neginf=0)
    low, high = finite.min(), finite.max()
    if low >= 0 and high <= 1:
        return finite
    return (finite - low) / (high - low) if high > low else np.zeros_like(finite)
