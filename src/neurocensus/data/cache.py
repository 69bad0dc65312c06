"""`load`: decode and resize images once, into one file that is memory-mapped ever after."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import storage
from ..arguments import height_width
from ..leftovers import sweep
from .decoding import Bytes, Unreadable, in_workers, try_decode, unreadable, without_unreadable
from .examples import Examples
from .labelled import Images
from .splitting import Split

_FORMAT = "neurocensus.pixels 1 rgb bilinear"  # changed whenever the same files give other pixels
_BATCH = 32


def load(
    images: Images,
    indices: npt.ArrayLike | None = None,
    *,
    size: tuple[int, int] | int = (150, 150),
    cache: str | Path | None,
    workers: int | None = None,
    progress: bool | None = True,
) -> Examples:
    """Decode images and resize them, or take them from the cache.

    The pixels lie in one file of the folder `cache`, named by what is in it: the contents of the image
    files, their order and `size`. It is written under another name and renamed once it is whole, so a
    killed process leaves no half of it under that name, and two may make it at once. Changed images get a
    file of their own; files of the cache may be deleted at will.

    Resizing is bilinear with antialiasing and does not keep the aspect ratio. (Keras's ``load_img``, which
    the published code used, takes the nearest pixel.)

    Args:
        images: see `open_images`.
        indices: positions of the images wanted, in this order; None: all.
        size: (height, width), or one number for both.
        cache: the folder, made if it is not there. 5000 images of 150x150 take 338 MB. None keeps the
            pixels in memory.
        workers: processes that decode; 0: this one. None chooses by the number of images and the machine.
        progress: show a progress bar, on a terminal only.

    Returns:
        Pixels uint8 (n, height, width, 3), memory-mapped read-only, and labels.

    Raises:
        TypeError: indices, a size or workers of the wrong type.
        ValueError: images that cannot be read or do not decode (all are counted, ten named), a size below
            1, positions out of range; `cache` is a file.
        OSError: the cache cannot be written: no permission, a full disk. No part of a file is left then.
    """
    height, width = height_width("size", size)
    chosen = _positions(images, indices)
    if cache is not None and Path(cache).exists() and not Path(cache).is_dir():
        raise ValueError(f"cache: expected a folder, got the file {cache}")
    decoder = _Decoder(images, chosen, (height, width))
    contents = _fingerprint(decoder, workers, progress)
    identity = hashlib.sha256(f"{_FORMAT} {height}x{width} {contents}".encode()).hexdigest()
    shape = (len(chosen), height, width, 3)
    if cache is None or not len(chosen):  # no file can be mapped that holds nothing
        pixels = _in_memory(shape, _decoded(decoder, workers, progress))
    else:
        path = Path(cache) / f"{shape[0]}x{height}x{width}-{identity[:16]}.npy"
        if not _is_whole(path, shape):
            _write(path, shape, _decoded(decoder, workers, progress))
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    return Examples(pixels, images.labels[chosen], images.classes, identity=identity)


def _positions(images: Images, indices: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    if isinstance(indices, Split):
        raise TypeError(
            "indices: expected integers of shape (n,), got a Split; give one part, such as its .train"
        )
    chosen = np.arange(len(images)) if indices is None else np.asarray(indices)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise TypeError(f"indices: expected integers of shape (n,), got {chosen.dtype} {chosen.shape}")
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(images):
        raise ValueError(f"indices: expected 0 to {len(images) - 1}, got {chosen.min()} to {chosen.max()}")
    return chosen.astype(np.int64)


class _Decoder:
    """A map-style data set: the pixels of each image, or why there are none."""

    def __init__(self, images: Images, chosen: npt.NDArray[np.int64], size: tuple[int, int]) -> None:
        self.images, self.chosen, self._size = images, chosen, size

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, position: int) -> Bytes | Unreadable:
        index = int(self.chosen[position])
        path = Path(self.images.names[index])
        return try_decode(path, lambda: self.images.read(index), self._size)


def _fingerprint(decoder: _Decoder, workers: int | None, progress: bool | None) -> str:
    """Of the contents of the files."""
    try:
        return decoder.images.fingerprint(decoder.chosen)
    except (OSError, ValueError) as error:
        failure = error
    for _ in _decoded(decoder, workers, progress):  # names what cannot be read with what does not decode
        pass
    raise failure


def _collate(samples: list[Bytes | Unreadable]) -> tuple[Any, list[Unreadable]]:
    """One batch as a tensor, which passes between processes in shared memory; and the bad ones."""
    import torch

    good, bad = without_unreadable(samples)
    return torch.from_numpy(np.stack(good)) if good else None, bad


def _decoded(decoder: _Decoder, workers: int | None, progress: bool | None) -> Iterator[Bytes]:
    """Batches of pixels. After a bad image the rest is only looked at: one error is to name them all."""
    from rich.console import Console
    from rich.progress import track

    loader = in_workers(decoder, _BATCH, _collate, workers)
    bad: list[Unreadable] = []
    for pixels, failed in track(
        loader,
        "decoding",
        total=len(loader),
        console=Console(stderr=True),
        transient=True,
        disable=not (progress and sys.stderr.isatty()),
    ):
        bad += failed
        if not bad:
            yield pixels.numpy()
    if bad:
        where = decoder.images.path
        raise ValueError(unreadable(bad, len(decoder), f"All in {where}. Mend or remove them"))


def _in_memory(shape: tuple[int, ...], batches: Iterable[Bytes]) -> Bytes:
    pixels = np.empty(shape, np.uint8)
    first = 0
    for batch in batches:
        pixels[first : first + len(batch)] = batch
        first += len(batch)
    return pixels


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Is it there, with as many bytes as its header promises? A map of a shorter file does not open."""
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return isinstance(pixels, np.memmap) and (pixels.shape, pixels.dtype) == (shape, np.uint8)


def _write(path: Path, shape: tuple[int, ...], batches: Iterable[Bytes]) -> None:
    """Write a ``.npy`` file front to back: on a full disk a write fails, where a map would crash."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with storage.atomic(path) as temporary, temporary.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for batch in batches:
                file.write(batch.data)
    except OSError as error:
        if error.errno is None:  # of a worker
            raise
        needed = f"{np.prod(shape) / 1e6:.0f} MB are needed; choose another folder with cache="
        raise OSError(error.errno, f"{error.strerror} ({needed})", str(path)) from error
