"""A folder of images as a map-style data set. Decoded by Pillow, in whichever process asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arguments import height_width, per_channel
from .decoding import Unreadable, try_decode, without_unreadable
from .sources import Folder, base_name, both_layouts, no_image

Pixels: TypeAlias = npt.NDArray[np.float32]


class ImageFolder:
    """Images of a folder, RGB, float32, of shape (3, height, width), in [0, 1] before normalisation.

    A folder of folders gives classes, in the alphabetical order of their names; a flat folder gives none.
    Hidden files are passed over; so are files of other types, which `ignored` lists. EXIF rotation is
    not applied, as in torchvision's loader.

    Args:
        root: the folder.
        image_size: (height, width) to resize to, or one number for both, bilinear with antialiasing, without
            keeping the aspect ratio. None keeps each image as it is; all must then be of one size.
        mean, std: subtracted and divided by, per channel, after scaling to [0, 1]. One or three numbers.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: images both in the folder and in folders below it, or only deeper than one folder;
            images of unequal size without ``image_size``; an image size below 1; a mean or std of the
            wrong length, not finite, or a std that is not positive.
        TypeError: an image size, mean or std of no numbers.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        image_size: tuple[int, int] | int | None = None,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
    ) -> None:
        self.root = Path(root)
        self.image_size = None if image_size is None else height_width("image_size", image_size)
        self._mean, self._std = mean, std
        normalise(np.zeros((3, 1, 1), np.float32), mean, std, axis=0)  # do they fit?
        self.paths, self.labels, self.classes, self.ignored = _scan(self.root)
        if image_size is None:
            _check_one_size(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Pixels, int] | Unreadable:
        """Pixels and class of an image; class -1 where there are none. A bad image does not raise."""
        path = self.paths[index]
        pixels = try_decode(path, path.read_bytes, self.image_size)
        if isinstance(pixels, Unreadable):
            return pixels
        scaled = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return normalise(scaled, self._mean, self._std, axis=0), self.labels[index]

    def fingerprint(self) -> str:
        """Changes with the names, sizes and times of change of the files; none is read."""
        whole = hashlib.sha256()
        for path in self.paths:
            found = path.stat()
            line = f"{path.relative_to(self.root)}\0{found.st_size} {found.st_mtime_ns}\n"
            whole.update(line.encode("utf-8", "surrogateescape"))
        return whole.hexdigest()[:16]

    def settings(self) -> dict[str, Any]:
        """What becomes of the images, as JSON."""
        return {
            "image size": None if self.image_size is None else list(self.image_size),
            "mean": None if self._mean is None else np.asarray(self._mean).tolist(),
            "std": None if self._std is None else np.asarray(self._std).tolist(),
        }


def collate(samples: Iterable[tuple[Pixels, int] | Unreadable]) -> tuple[Any, Any, list[Unreadable]]:
    """One batch: images (N, 3, H, W) and labels (N,), as tensors, and what could not be read. N may be 0."""
    import torch

    good, bad = without_unreadable(samples)
    images = torch.from_numpy(np.stack([pixels for pixels, _ in good])) if good else torch.empty(0)
    return images, torch.tensor([label for _, label in good], dtype=torch.int64), bad


def normalise(
    pixels: Pixels,
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    *,
    axis: int,
) -> Pixels:
    """``(pixels - mean) / std`` along the channel ``axis``.

    Raises:
        TypeError, ValueError: as `per_channel`.
    """
    channels, shape = pixels.shape[axis], [1] * pixels.ndim
    shape[axis] = -1
    if mean is not None:
        pixels = pixels - per_channel("mean", mean, channels).reshape(shape)
    if std is not None:
        pixels = pixels / per_channel("std", std, channels).reshape(shape)
    return pixels


def _scan(root: Path) -> tuple[list[Path], list[int], list[str], list[Path]]:
    """Images, their classes, the names of the classes, and the files passed over."""
    if not root.is_dir():
        raise FileNotFoundError(f"data: no such folder: {root}")
    source = Folder(root)
    here = source.entries("")
    inside = {base_name(folder): source.entries(folder) for folder in here.folders}
    classes = [name for name, listing in inside.items() if listing.images]
    ignored = [root / name for listing in (here, *inside.values()) for name in listing.others]

    if here.images and classes:
        raise both_layouts(root, here.images[0], inside[classes[0]].images[0])
    if here.images:
        return [root / name for name in here.images], [-1] * len(here.images), [], ignored
    if not classes:
        for folder in (folder for listing in inside.values() for folder in listing.folders):
            if source.entries(folder).images:
                raise ValueError(
                    f"data: the images of {root} lie two folders deep (in {folder}); "
                    f"give the folder that holds the classes, such as {(root / folder).parent}"
                )
        raise no_image(root)
    paths = [root / image for name in classes for image in inside[name].images]
    labels = [label for label, name in enumerate(classes) for _ in inside[name].images]
    return paths, labels, classes, ignored


def _check_one_size(paths: Iterable[Path]) -> None:
    """Read the headers, before hours of work rather than after. Decoding finds the unreadable ones."""
    first: tuple[Path, tuple[int, int]] | None = None
    for path in paths:
        try:
            with Image.open(path) as image:
                size = image.size
        except Exception:  # see `decode`
            continue
        if first is None:
            first = path, size
        elif size != first[1]:
            (a, (aw, ah)), (w, h) = first, size
            raise ValueError(
                f"data: images of unequal size: {a} is {aw}x{ah}, {path} is {w}x{h} (width x height); "
                "resize them all with --image-size (image_size=)"
            )
