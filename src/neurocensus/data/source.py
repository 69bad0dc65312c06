"""`open_data`: from what the user wrote to an iterable of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..arguments import integer
from .arrays import ArrayBatches, read_examples, read_npy
from .decoding import Unreadable, in_workers, unreadable, worker_count
from .images import ImageFolder, collate
from .indexed import Indexed


@dataclass
class Data:
    """Batches, and what there is to say about them."""

    batches: Iterable[Any]
    classes: list[str] = field(default_factory=list)  # names in the order of the labels, if known
    notes: list[str] = field(default_factory=list)
    skipped: list[Unreadable] = field(default_factory=list)  # grows while the batches are read


def open_data(
    spec: str,
    *,
    batch_size: int = 32,
    image_size: tuple[int, int] | int | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    workers: int | None = None,
    skip_unreadable: bool = False,
    key: str = "x",
    raw: bool = False,
) -> Data:
    """Open a folder of images, a ``.npz`` or ``.npy`` file, or ``module:factory`` / ``file.py:factory``.

    A factory returns an iterable of batches, such as a DataLoader; they are given to the model as they are.

    Args:
        batch_size: examples per batch, where we make the batches.
        image_size, mean, std: see `ImageFolder`; mean and std also serve arrays.
        workers: processes that decode images; None chooses by the size of the folder and the machine.
        skip_unreadable: leave out images that cannot be decoded, and list them in `Data.skipped`.
        key: which array of a ``.npz`` holds the examples.
        raw: give arrays to the model as they are (see `ArrayBatches`).

    Raises:
        FileNotFoundError: nothing there.
        ValueError: unreadable, of the wrong shape, or options that do not go with this kind of data. An
            image that cannot be decoded raises while the batches are read.
        TypeError: a factory that returns something else; an option of the wrong type.
    """
    batch_size = integer("batch_size", batch_size, 1)
    path = Path(spec)
    if path.is_dir():
        _refuse_options("a folder of images", raw=raw, key=key != "x")
        folder = ImageFolder(path, image_size=image_size, mean=mean, std=std)
        return _folder_data(folder, batch_size, workers, skip_unreadable)
    if path.suffix in (".npz", ".npy"):
        _refuse_options("arrays", image_size=image_size, skip_unreadable=skip_unreadable)
        if path.suffix == ".npz":
            x, y = read_examples(path, key)
        else:
            x, y = read_npy(path, "data"), None
        batches = ArrayBatches(x, y, batch_size=batch_size, raw=raw, mean=mean, std=std)
        return Data(batches, notes=batches.notes)
    if ":" in spec and not path.exists():
        _refuse_options(
            "a factory", image_size=image_size, mean=mean, std=std, raw=raw, skip_unreadable=skip_unreadable
        )
        return Data(_from_factory(spec))
    there = "exists, but is none of these" if path.exists() else "no such file or folder"
    raise (ValueError if path.exists() else FileNotFoundError)(
        f"data: expected a folder of images, a .npz or .npy file, or module:factory; {spec}: {there}"
    )


def _from_factory(spec: str) -> Iterable[Any]:
    from ..loading import make

    made = make(spec, "data")
    if not isinstance(made, Iterable) or isinstance(made, (str, bytes, dict)):
        raise TypeError(
            f"data: expected an iterable of batches (a DataLoader) from {spec!r}, got {type(made).__name__}"
        )
    return made


def _folder_data(folder: ImageFolder, batch_size: int, workers: int | None, skip: bool) -> Data:
    notes = []
    if folder.ignored:
        others = f" and {len(folder.ignored) - 1} more" if len(folder.ignored) > 1 else ""
        notes.append(f"passed over what is no image: {folder.ignored[0].name}{others}")
    data = Data([], classes=folder.classes, notes=notes)
    data.batches = FolderBatches(folder, batch_size, workers, data.skipped, skip)
    return data


class FolderBatches(Indexed):
    """Batches ``(images, labels)``, or ``(images,)`` of a flat folder; deals with the unreadable ones.

    Args:
        folder: of what.
        batch_size: images per batch.
        workers: processes that decode; None: see `worker_count`.
        skipped: where to list unreadable images, as they are met.
        skip: leave them out, and batches without any other; else the first one raises ValueError.
    """

    def __init__(
        self,
        folder: ImageFolder,
        batch_size: int,
        workers: int | None,
        skipped: list[Unreadable],
        skip: bool,
    ) -> None:
        worker_count(workers, len(folder), batch_size)  # raise now, not when the first batch is made
        self._folder, self._workers, self._skipped, self._skip = folder, workers, skipped, skip
        self.examples, self.batch_size = len(folder), batch_size

    def numbered(self, wanted: range) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Batches with their numbers; see `Indexed`."""
        loader = in_workers(self._folder, self.batch_size, collate, self._workers, wanted)
        for number, (pixels, labels, bad) in zip(wanted, loader, strict=True):
            if bad and not self._skip:
                raise ValueError(_all_unreadable(self._folder))
            self._skipped += bad
            if len(pixels):
                yield number, (pixels, labels) if self._folder.classes else (pixels,)

    def identity(self) -> Mapping[str, Any]:
        """See `Indexed`. Files are known by their names, sizes and times of change; none is read."""
        return {
            "images": len(self._folder),
            "names, sizes and times of the files": self._folder.fingerprint(),
            "batch size": self.batch_size,
            "unreadable images": "left out" if self._skip else "refused",
            **self._folder.settings(),
        }

    def __iter__(self) -> Iterator[Any]:
        self._skipped.clear()
        yield from super().__iter__()


def _all_unreadable(folder: ImageFolder) -> str:
    """The error for a bad image. The audit is lost, so look at the rest and count: once is enough to mend."""
    with ThreadPoolExecutor(2) as pool:  # Pillow drops the GIL while it decodes
        samples = pool.map(folder.__getitem__, range(len(folder)))
        bad = [sample for sample in samples if isinstance(sample, Unreadable)]
    return unreadable(
        bad,
        len(folder),
        "Mend or remove them, or leave them out with --skip-unreadable (skip_unreadable=True)",
    )


def _refuse_options(kind: str, **given: object) -> None:
    wrong = [
        f"--{name.replace('_', '-')}"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    if wrong:
        raise ValueError(f"data: {kind} cannot be read with {', '.join(wrong)}; leave that out")
