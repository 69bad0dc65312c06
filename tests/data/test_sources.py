"""Archives that cannot be trusted, or cannot be read in place."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.data import open_images
from neurocensus.data.sources import Tar, open_source

from .trees import as_tar, tree

FILES = tree(["cat/1.png", "dog/1.png"])


def with_member(path: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Path:
    as_tar(path, FILES)
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("/etc/cat.0.jpg", tarfile.REGTYPE, "outside of itself: '/etc/cat.0.jpg'"),
        ("cat/../../1.jpg", tarfile.REGTYPE, "outside of itself"),
        ("..", tarfile.DIRTYPE, "outside of itself"),
        ("cat/2.jpg", tarfile.SYMTYPE, "'cat/2.jpg' is a link; .*--dereference"),
        ("cat/2.jpg", tarfile.LNKTYPE, "'cat/2.jpg' is a link"),
        ("cat/2.jpg", tarfile.FIFOTYPE, "is no plain file"),
        ("cat/2.jpg", tarfile.CHRTYPE, "is no plain file"),
        ("cat/2.jpg", tarfile.GNUTYPE_SPARSE, "is no plain file"),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, name: str, kind: bytes, words: str) -> None:
    path = with_member(tmp_path / "a.tar", name, kind, "/etc/passwd")
    with pytest.raises(ValueError, match=words) as caught:
        open_images(path)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_is_no_image_is_passed_over(tmp_path: Path) -> None:
    path = with_member(tmp_path / "a.tar", "latest", tarfile.SYMTYPE, "/etc")
    assert len(open_images(path)) == 2


def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    """As unpacking would have it."""
    path = as_tar(tmp_path / "a.tar", FILES)
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("cat/1.png")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"new"))
    images = open_images(path)
    assert len(images) == 2
    assert images.read(0) == b"new"


@given(share=st.floats(0, 1, exclude_max=True))
def test_no_truncation_loses_images_silently(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut before the end mark, it is refused, wherever that is."""
    whole = as_tar(tmp_path_factory.mktemp("tar") / "a.tar", FILES)
    end = max(offset + size for offset, size in Tar(whole)._places.values())
    content = whole.read_bytes()
    whole.write_bytes(content[: int(share * end)])
    with pytest.raises(ValueError, match=r"data: .*a\.tar"):
        open_source(whole)


def test_a_damaged_header_loses_no_images_silently(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "a.tar", FILES)
    content = bytearray(path.read_bytes())
    content[Tar(path)._places["dog/1.png"][0] - 400] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or truncated after 'cat/1\.png'"):
        open_source(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"a"), r"uncompressed tar, got gzip.*unpack it first \(gunzip\)"),
        (b"PK\x03\x04abc", "got zip.*unzip"),
        (b"", "folder or a tar of images, got .*empty"),
        (b"label,file\n" * 100, "folder or a tar of images"),
    ],
)
def test_files_that_are_no_tar(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        open_source(path)


def test_an_empty_tar_has_no_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no image in"):
        open_images(as_tar(tmp_path / "a.tar", {}))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder or tar of images: .*none"):
        open_images(tmp_path / "none")


def test_an_archive_cut_while_in_use_says_so(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "a.tar", FILES)
    images = open_images(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"ended inside cat/1\.png"):
        images.read(0)


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, neurocensus.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
