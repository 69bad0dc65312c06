"""Files: written atomically, read with suspicion. What an audit's file holds is `audit_file`'s affair."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .audit_file import FORMAT, FORMAT_VERSION, dump, in_order, load, parse, pieces

if TYPE_CHECKING:
    from .result import Audit

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "atomic",
    "dump",
    "in_order",
    "load",
    "parse",
    "save",
    "write_bytes",
    "write_text",
]


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` if the block succeeds.

    Readers see the old file or the new one, never a part. On failure the old file is as it was and the
    temporary one is gone. A symbolic link is followed; permissions of a replaced file are kept.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: `path` is something else than a regular file (a folder, a device).
        OSError: no permission, a full disk; named by `path`.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {target.parent} does not exist; create it first")
    if target.exists() and not target.is_file():
        raise ValueError(f"{path}: expected the path of a file, got a folder or a device; name a file in it")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        permissions = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        temporary.chmod(permissions)  # some writers make their files private
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise  # not about this file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically (see `atomic`). Lone surrogates become ``?``: a name may hold any."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes atomically (see `atomic`)."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def save(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Write an audit to one safetensors file, atomically. `load` gives it back bit for bit.

    Needs memory for one column of one state (8 bytes for each unit of a layer) beside the audit.

    Raises:
        FileNotFoundError, ValueError: as `atomic`.
    """
    with atomic(path) as temporary, open(temporary, "wb") as file:
        for part in pieces(audit):
            file.write(part)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the file system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
