"""The folder of a training."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from neurocensus.training import files


def test_the_folder_is_made(tmp_path: Path) -> None:
    with files.claimed(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()


def test_one_training_at_a_time(tmp_path: Path) -> None:
    with (
        files.claimed(tmp_path),
        pytest.raises(
            RuntimeError, match=r"another training is running in .*; wait for it to end, or use another"
        ),
        files.claimed(tmp_path),
    ):
        pass
    with files.claimed(tmp_path):  # free again
        pass


def test_half_written_files_are_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 16}.tmp").write_bytes(b"half")
    others = [".tmp", "a.tmp", ".0.tmp", "notes.txt", f".{'x' * 16}.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    with files.claimed(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_half_written_files_are_named_as_storage_names_them(tmp_path: Path) -> None:
    from neurocensus import storage

    with storage.atomic(tmp_path / "x") as temporary:
        with files.claimed(tmp_path):
            assert not temporary.exists()
        temporary.write_bytes(b"")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with (
        pytest.raises(NotADirectoryError, match="folder: expected a folder or a free name, got a file"),
        files.claimed(tmp_path / "x"),
    ):
        pass


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (True, "the last good checkpoint.safetensors is untouched: put this right and call fit again"),
        (False, "there is no checkpoint yet"),
    ],
)
def test_a_full_disk_says_what_is_left(tmp_path: Path, before: bool, message: str) -> None:
    if before:
        (tmp_path / files.CHECKPOINT).write_bytes(b"")
    with pytest.raises(OSError, match=message) as caught, files.writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "some/file")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "some/file")
    assert "No space left on device" in str(caught.value)
