"""Image files to RGB pixels, by Pillow, perhaps in worker processes. All of this package decodes here."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arguments import integer
from ..threads import thread_count

EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"))

Bytes: TypeAlias = npt.NDArray[np.uint8]
Sample = TypeVar("Sample")

_READER = re.compile(r" ?<_io\.[^>]*>")  # "cannot identify image file <_io.BytesIO object at 0x7f...>"


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be decoded, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"

    @classmethod
    def because(cls, path: Path, error: Exception) -> Unreadable:
        """From the error of the system or of a decoder; both repeat what they were reading."""
        words = (
            error.strerror if isinstance(error, OSError) and error.strerror else _READER.sub("", str(error))
        )
        return cls(path, f"{type(error).__name__}: {words}")


def decode(file: Path | IO[bytes], size: tuple[int, int] | None = None) -> Bytes:
    """The pixels of an image, uint8 (height, width, 3).

    Grey, palette, CMYK and transparent images become RGB, transparency dropped. EXIF rotation is not
    applied, as in torchvision's loader and in Keras's.

    Args:
        file: a path, or a file open for reading.
        size: (height, width) to resize to, bilinear with antialiasing, without keeping the aspect ratio.

    Raises:
        ValueError: more than 8 bits per channel.
        Exception: corrupt bytes; Pillow's decoders raise nearly anything.
    """
    with Image.open(file) as image:
        if image.mode.startswith(("I", "F")):
            # Pillow would clip these to 255 and call it RGB.
            raise ValueError(f"more than 8 bits per channel (mode {image.mode}), convert it first")
        # By way of RGBA, since a palette may hold transparency.
        rgb = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    if size is not None:
        height, width = size
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(rgb, np.uint8)


def try_decode(
    path: Path, read: Callable[[], bytes], size: tuple[int, int] | None = None
) -> Bytes | Unreadable:
    """What `decode` gives for the bytes of a file, or why it cannot be read; `path` names it to the user."""
    try:
        return decode(io.BytesIO(read()), size)
    except Exception as error:  # see `decode`
        return Unreadable.because(path, error)


def without_unreadable(samples: Iterable[Sample | Unreadable]) -> tuple[list[Sample], list[Unreadable]]:
    """The good and the bad ones of a batch, apart."""
    good: list[Sample] = []
    bad: list[Unreadable] = []
    for sample in samples:
        if isinstance(sample, Unreadable):
            bad.append(sample)
        else:
            good.append(sample)
    return good, bad


def in_workers(
    dataset: Any,
    batch_size: int,
    collate: Callable[[list[Any]], Any],
    workers: int | None = None,
    wanted: range | None = None,
) -> Any:
    """A torch DataLoader over a map-style data set of images, in order.

    Args:
        dataset: gives one image at a time.
        batch_size: images per batch.
        collate: from a list of images to a batch.
        workers: processes that decode; 0: this one. None chooses by the number of images and the machine.
        wanted: numbers of the batches to make; None: all.

    Raises:
        TypeError, ValueError: `workers` is no integer, or negative.
    """
    import torch
    from torch.utils.data import DataLoader, Subset

    if wanted is not None:
        rows = range(len(dataset))[wanted.start * batch_size : wanted.stop * batch_size]
        dataset = Subset(dataset, rows)
    workers = worker_count(workers, len(dataset), batch_size)
    # With a generator of its own it draws no number from the global one.
    return DataLoader(
        dataset, batch_size, num_workers=workers, collate_fn=collate, generator=torch.Generator()
    )


def worker_count(workers: int | None, images: int, batch_size: int) -> int:
    """How many processes are to decode; None chooses by the number of images and the machine.

    Raises:
        TypeError, ValueError: `workers` is no integer, or negative.
    """
    if workers is None:
        # For a small data set, starting them costs more than they save.
        return min(4, thread_count()) if images > 4 * batch_size else 0
    return integer("workers", workers, 0)


def unreadable(bad: Sequence[Unreadable], images: int, advice: str) -> str:
    """The error for images that do not decode: how many, which, why, and what to do."""
    shown = "\n".join(f"  {item}" for item in bad[:10])
    more = f"\n  ... and {len(bad) - 10} more" if len(bad) > 10 else ""
    return f"data: {len(bad)} of {images} images cannot be read:\n{shown}{more}\n{advice}"
