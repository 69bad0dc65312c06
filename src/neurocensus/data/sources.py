"""Where image files lie: a folder or a tar, read in place.

Names are relative to the root, with "/" between their parts. Nothing is ever extracted, so no name in
an archive can reach the disk.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from .decoding import EXTENSIONS

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"PK": ("zip", "unzip"),
}


class Listing(NamedTuple):
    """What a folder holds, hidden files left out; each sorted by name."""

    images: list[str]
    folders: list[str]
    others: list[str]


class Source(Protocol):
    """A tree of files."""

    path: Path

    def entries(self, folder: str) -> Listing:
        """What `folder` holds; "" is the root."""

    def read(self, name: str) -> bytes:
        """The bytes of a file."""


class Folder:
    """A folder on disk. Symbolic links in it are followed: it is the user's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, folder: str) -> Listing:
        """See `Source`."""
        found = ((_joined(folder, entry.name), entry.is_dir()) for entry in os.scandir(self.path / folder))
        return listing(found)

    def read(self, name: str) -> bytes:
        """See `Source`."""
        return (self.path / name).read_bytes()


class Tar:
    """An uncompressed tar, read by the offsets of its members.

    Raises:
        ValueError: compressed, no tar, truncated, or with members that no honest archive of images has:
            absolute names, names with "..", images that are links or devices or have holes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}  # offset, bytes
        folders: dict[str, dict[str, bool]] = {"": {}}
        for member in _members(path):
            name = _checked(path, member)
            if name and not member.isdir():
                self._places[name] = member.offset_data, member.size
            if name and member.isdir():
                folders.setdefault(name, {})
            while name:  # archives may leave out the folders
                parent = _parent(name)
                folders.setdefault(parent, {})[name] = name in folders
                name = parent
        self._listings = {folder: listing(inside.items()) for folder, inside in folders.items()}

    def entries(self, folder: str) -> Listing:
        """See `Source`."""
        return self._listings[folder]

    def read(self, name: str) -> bytes:
        """See `Source`."""
        offset, size = self._places[name]
        with open(self.path, "rb") as file:  # opened each time: workers share no position
            file.seek(offset)
            content = file.read(size)
        if len(content) < size:
            raise ValueError(f"{self.path}: ended inside {name}; it was changed while it was read")
        return content


def open_source(path: str | Path) -> Source:
    """The folder or tar at `path`.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: neither a folder nor a tar that can be read in place (see `Tar`).
    """
    path = Path(path)
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"data: no such folder or tar of images: {path}")
    return Tar(path)


def listing(entries: Iterable[tuple[str, bool]]) -> Listing:
    """Sort the (name, is it a folder?) of a folder's entries."""
    out = Listing([], [], [])
    for name, is_folder in sorted(entries):
        if PurePosixPath(name).name.startswith((".", "__MACOSX")):
            continue
        is_image = PurePosixPath(name).suffix.lower() in EXTENSIONS
        (out.folders if is_folder else out.images if is_image else out.others).append(name)
    return out


def _members(path: Path) -> list[tarfile.TarInfo]:
    with open(path, "rb") as file:
        start = file.read(8)
    for magic, (kind, tool) in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(
                f"data: expected an uncompressed tar, got {kind}, which cannot be read in place: {path}; "
                f"unpack it first ({tool})"
            )
    try:
        with tarfile.open(path, "r:") as archive, open(path, "rb") as file:
            members = archive.getmembers()
            file.seek(archive.offset)
            end = file.read(tarfile.BLOCKSIZE)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f"data: expected a folder or a tar of images, got {path}: {error}") from error
    if end != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end of the archive
        last = f"after {members[-1].name!r}" if members else "at its beginning"
        raise ValueError(f"data: {path} is damaged or truncated {last}; copy it again")
    return members


def _checked(path: Path, member: tarfile.TarInfo) -> str:
    """The name of a member without "." parts; "" for one to pass over."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"data: {path} has a member outside of itself: {member.name!r}; do not trust it")
    if not member.isdir() and (not member.isreg() or member.issparse()):
        if name.suffix.lower() not in EXTENSIONS:
            return ""
        kind = "a link" if member.issym() or member.islnk() else "no plain file"
        raise ValueError(
            f"data: {path}: {member.name!r} is {kind}; pack the images themselves (tar --dereference "
            "--hard-dereference)"
        )
    return "" if name == PurePosixPath(".") else str(name)


def no_image(path: Path) -> FileNotFoundError:
    """The error for a tree without images."""
    return FileNotFoundError(f"data: no image in {path}; looked for {', '.join(sorted(EXTENSIONS))}")


def both_layouts(path: Path, loose: str, in_folder: str) -> ValueError:
    """The error for images beside folders of images; names one of each."""
    return ValueError(
        f"data: {path}: expected images in one folder per class or all in one folder, got both ({loose} and "
        f"{in_folder}); move one of them away"
    )


def base_name(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parent(name: str) -> str:
    return name.rpartition("/")[0]
