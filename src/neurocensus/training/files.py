"""A training's folder: what is in it, that one training at a time uses it, what a full disk leaves of it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CHECKPOINT: Final = "checkpoint.safetensors"
"""All that is needed to go on."""
BEST: Final = "best.safetensors"
"""The weights of the epoch with the lowest validation loss."""
LAST: Final = "last.safetensors"
"""The weights at the end of the training."""
HISTORY: Final = "history.jsonl"
PLOT: Final = "training.png"

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")  # as `storage.atomic` names them


@contextmanager
def claimed(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder, made if missing, without what a killed training left half-written, and for us alone.

    The claim is a lock on the folder itself, which ends with the process, however that ends.

    Raises:
        NotADirectoryError: there is a file of that name.
        RuntimeError: another training runs in it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"folder: expected a folder or a free name, got a file: {folder}") from None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        for file in folder.iterdir():
            if _TEMPORARY.fullmatch(file.name):
                file.unlink()
        yield folder
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what a failure to write in `folder` (a full disk) leaves behind."""
    try:
        yield
    except OSError as error:
        kept = (
            f"the last good {CHECKPOINT} is untouched: put this right and call fit again to go on from it"
            if (folder / CHECKPOINT).exists()
            else "there is no checkpoint yet"
        )
        raise OSError(error.errno, f"{error.strerror} ({kept})", error.filename) from error


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(
            f"folder: another training is running in {folder}; wait for it to end, or use another folder"
        ) from None
    except OSError:  # some network file systems have no locks
        pass
