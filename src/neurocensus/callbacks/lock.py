"""One monitor at a time in a folder: two would mix their rows in one file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path
from typing import Final

FILE: Final = "activations.lock"


class Lock:
    """A folder that is ours until `release`, the end of this object, or that of the process, however it ends.

    A file of its own is locked (flock), which is there only while it is. Processes that are forked, such as
    the workers of a DataLoader, have no part in it.

    Args:
        folder: exists.

    Raises:
        RuntimeError: another one has it, in this process or another.
        OSError: the file cannot be made (no permission).
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._descriptor = -1
        self._end: weakref.finalize[[int, Path], Lock] | None = None
        self.take()

    def take(self) -> None:
        """Have it again, if somebody removed the file; as it is made."""
        if self._end is not None and self._end.alive and _is_at(self._descriptor, self._path):
            return
        self.release()
        self._descriptor = _locked(self._path)
        self._end = weakref.finalize(self, _unlock, self._descriptor, self._path)
        _held.add(self)

    def release(self) -> None:
        """Let others have it. Does nothing where that was done before."""
        if self._end is not None:
            self._end()

    def leave(self) -> None:
        """In a forked process: it is the parent's alone."""
        if self._end is not None and self._end.detach() is not None:
            os.close(self._descriptor)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _leave_all() -> None:
    for lock in list(_held):
        lock.leave()


os.register_at_fork(after_in_child=_leave_all)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RuntimeError(
                f"folder: expected no other Monitor at work there, got one in {path.parent}; end it with "
                "close() or abort(), or with its process, or use another folder"
            ) from None
        except OSError:  # some network file systems have no locks
            return descriptor
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # of a monitor that has just ended, and removed the file


def _unlock(descriptor: int, path: Path) -> None:
    with contextlib.suppress(OSError):
        if _is_at(descriptor, path):
            path.unlink()
    os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one of this name; others may have removed it, or made it anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
