"""Arrays in a ``.npz`` or ``.npy`` file as batches of tensors."""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import integer
from .examples import digest
from .images import normalise
from .indexed import Indexed

Array = npt.NDArray[Any]


class ArrayBatches(Indexed):
    """Batches ``(x,)`` or ``(x, y)`` of tensors from arrays; iterate as often as you like.

    What the model gets, unless ``raw``: uint8 is taken for pixels and scaled to float32 in [0, 1], with
    the channels moved first: (N, H, W, 1 or 3) becomes (N, C, H, W), and (N, H, W) becomes (N, 1, H, W).
    Other floats become float32; other integers (token ids) stay. `notes` says what is done.

    Args:
        x: examples along axis 0. May be memory-mapped: only a batch at a time is read.
        y: class of each example, integers of shape (N,), or None.
        batch_size: examples per batch; the last one may be shorter.
        raw: give ``x`` as it is.
        mean, std: per channel (axis 1) or one number for all, applied after the scaling.

    Raises:
        ValueError: no example, lengths of x and y that differ, numbers that are not real, normalisation
            of what is not floating point; a mean or std that fits no channels.
        TypeError: a batch size, mean or std of the wrong type.
    """

    def __init__(
        self,
        x: Array,
        y: Array | None = None,
        *,
        batch_size: int = 32,
        raw: bool = False,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
    ) -> None:
        if x.ndim == 0 or len(x) == 0:
            raise ValueError(f"x: expected at least one example along axis 0, got shape {x.shape}")
        if x.dtype.kind not in "biuf":
            raise ValueError(f"x: expected real numbers, got {x.dtype}")
        if y is not None and (y.ndim == 0 or len(y) != len(x)):
            raise ValueError(f"y: expected {len(x)} labels, one for each of x, got shape {y.shape}")
        if y is not None and y.dtype.kind not in "biuf":
            raise ValueError(f"y: expected a number for each of x, got {y.dtype}; number the classes from 0")
        self.x, self.y, self.batch_size = x, y, integer("batch_size", batch_size, 1)
        self.examples = len(x)
        self._mean, self._std, self._raw = mean, std, raw
        self._pixels = x.dtype == np.uint8 and not raw
        self._to_float32 = x.dtype.kind == "f" and x.dtype != np.float32 and not raw
        self._channels_last = self._pixels and x.ndim == 4 and x.shape[-1] in (1, 3)
        self._grey = self._pixels and x.ndim == 3
        if (mean is not None or std is not None) and (
            raw or not (self._pixels or x.dtype.kind == "f") or x.ndim < 2
        ):
            raise ValueError(
                f"mean, std: expected floating point of 2 axes or more, or uint8 pixels, got {x.dtype} "
                f"of shape {x.shape}" + (" and raw" if raw else "")
            )
        self._batch(0)  # a wrong number of means shows at once

    @property
    def notes(self) -> list[str]:
        """What is done to the numbers before the model sees them."""
        if not (self._pixels or self._to_float32):
            return []
        done = "uint8 pixels scaled to [0, 1]" if self._pixels else f"{self.x.dtype} converted to float32"
        after = list(self._batch(0)[0].shape[1:])
        if after != list(self.x.shape[1:]):
            done += f", {tuple(self.x.shape[1:])} -> {tuple(after)} (channels first)"
        return [f"x: {done}" + ("; --raw keeps them as they are" if self._pixels else "")]

    def numbered(self, wanted: range) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Batches with their numbers; see `Indexed`."""
        for index in wanted:
            yield index, self._batch(index)

    def identity(self) -> Mapping[str, Any]:
        """See `Indexed`. Arrays in memory are read whole; of a memory-mapped one its file is looked at."""
        return {
            "x": _content(self.x),
            "y": None if self.y is None else _content(self.y),
            "batch size": self.batch_size,
            "raw": self._raw,
            "mean": None if self._mean is None else np.asarray(self._mean).tolist(),
            "std": None if self._std is None else np.asarray(self._std).tolist(),
        }

    def _batch(self, index: int) -> tuple[Any, ...]:
        import torch

        here = slice(index * self.batch_size, (index + 1) * self.batch_size)
        x = np.array(self.x[here])  # a copy: a memory map is read-only, a tensor is not
        if self._channels_last:
            x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        elif self._grey:
            x = x[:, None]
        if self._pixels:
            x = x.astype(np.float32) / np.float32(255)
        elif self._to_float32:
            x = x.astype(np.float32)
        x = normalise(x, self._mean, self._std, axis=min(1, x.ndim - 1))
        batch = (torch.from_numpy(x),)
        return batch if self.y is None else (*batch, torch.from_numpy(np.array(self.y[here])))


def _content(array: Array) -> str:
    """A word that changes with an array, but for a file that is written anew with its old size and time."""
    form = f"{array.dtype} {array.shape}"
    owner: Any = array
    while owner is not None and not isinstance(owner, np.memmap):
        owner = getattr(owner, "base", None)
    if owner is None or owner.filename is None:
        return f"{form} of SHA-256 {digest(array)[:16]}"
    found = os.stat(owner.filename)
    return f"{form}, {found.st_size} bytes, changed at {found.st_mtime_ns}"


def read_npz(path: Path, what: str) -> dict[str, Array]:
    """All arrays of a ``.npz`` file; pickled ones are refused.

    Raises:
        FileNotFoundError: no such file.
        ValueError: corrupt, truncated, not a ``.npz`` file, or holding pickled objects.
    """
    with _archive(path, what) as archive:
        return {name: archive[name] for name in archive.files}


def read_examples(path: Path, key: str) -> tuple[Array, Array | None]:
    """Examples and labels of a ``.npz`` file: ``x`` and ``y``, or ``x_test`` and ``y_test``, by ``key``.

    Raises:
        ValueError: no array of that name; the message lists what there is. Also all of `read_npz`.
    """
    with _archive(path, "data") as archive:
        names, labels = archive.files, "y" + key[1:]
        if key in names:
            return archive[key], archive[labels] if key[0] == "x" and labels in names else None
    raise ValueError(
        f"data: no array {key!r} in {path}; it has: {', '.join(names) or 'nothing'}. Choose one with --key"
    )


def read_npy(path: Path, what: str) -> Array:
    """The array of a ``.npy`` file, memory-mapped; pickled ones are refused.

    Raises:
        FileNotFoundError: no such file.
        ValueError: corrupt, truncated, not a ``.npy`` file, or holding pickled objects.
    """
    with _checked(path, what):
        with path.open("rb") as file:
            if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
                raise ValueError("not a .npy file")
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@contextlib.contextmanager
def _archive(path: Path, what: str) -> Iterator[np.lib.npyio.NpzFile]:
    # numpy leaves the file open if it is given a path and the archive is damaged.
    with _checked(path, what), path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("not a .npz archive")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            yield archive


@contextlib.contextmanager
def _checked(path: Path, what: str) -> Iterator[None]:
    """Say which file it was, and what is wrong with it, in words of ours."""
    if not path.is_file():
        raise FileNotFoundError(f"{what}: no such file: {path}")
    try:
        yield
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error) or "Python objects in dtype" in str(error):
            raise ValueError(
                f"{what}: {path} holds pickled Python objects and was refused: loading them could run code. "
                "Save plain arrays of numbers"
            ) from error
        raise ValueError(f"{what}: {path} cannot be read (corrupt or truncated?): {error}") from error
