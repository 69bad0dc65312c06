"""save_top: a folder with the numbers and the sheets of one run, and of that one only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from neurocensus.explain import TopExamples, save_top

from ...audit_samples import NASTY_NAMES
from .test_contact import PICTURES, random_layer


def test_a_folder_gets_the_numbers_and_a_sheet_of_each_layer(tmp_path: Path) -> None:
    layers = {name: random_layer(2, 2, name=name) for name in NASTY_NAMES}
    top = TopExamples(layers, model="m", examples=60)
    paths = save_top(top, tmp_path / "new" / "top", PICTURES, labels=[0] * 60, classes=["a"])
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "new" / "top").iterdir()}
    names = [path.name for path in paths]
    assert names[0] == "top.safetensors"
    assert names[1] == "1-_script_alert_1_script_.jpg"
    assert all(re.fullmatch(r"\d-[\w.-]*\.jpg", name, re.ASCII) for name in names[1:])
    assert len(names) == 1 + len(layers)
    assert list(TopExamples.load(paths[0]).layers) == list(NASTY_NAMES)
    for path in paths[1:]:
        with Image.open(path) as sheet:
            assert sheet.format == "JPEG"
    assert [path.name for path in save_top(top, tmp_path / "other")] == ["top.safetensors"]


def test_a_folder_that_fails_is_left_as_it_was(tmp_path: Path) -> None:
    top = TopExamples({"a": random_layer(2, 2)}, model="m", examples=60)
    with pytest.raises(ValueError, match="expected a picture for each"):
        save_top(top, tmp_path / "top", PICTURES[:1])
    assert not (tmp_path / "top").exists()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def top_of(*names: str) -> TopExamples:
    return TopExamples({name: random_layer(2, 2, name=name) for name in names}, model="m", examples=60)


def test_sheets_of_an_earlier_run_make_room(tmp_path: Path) -> None:
    """Those that its numbers list, and nothing else, whatever it is called."""
    save_top(top_of("a", "b", "c"), tmp_path, PICTURES)
    for name in ("4-d.jpg", "1-a.png", "notes.txt"):
        (tmp_path / name).touch()
    others = ["1-a.png", "4-d.jpg", "notes.txt", "top.safetensors"]
    (tmp_path / "2-b.jpg").unlink()
    (tmp_path / "2-b.jpg").mkdir()
    paths = save_top(top_of("c", "a"), tmp_path, PICTURES)
    assert [path.name for path in paths] == ["top.safetensors", "1-c.jpg", "2-a.jpg"]
    assert left_in(tmp_path) == sorted({"1-c.jpg", "2-a.jpg", "2-b.jpg", *others})
    save_top(top_of("c", "a"), tmp_path)  # whose images are not known
    assert left_in(tmp_path) == sorted({"2-b.jpg", *others})


def test_a_sheet_that_is_there_again_stays(tmp_path: Path) -> None:
    save_top(top_of(*map(str, range(10))), tmp_path, PICTURES)
    assert left_in(tmp_path)[0] == "01-0.jpg"
    for _ in range(2):
        paths = save_top(top_of("A", "b"), tmp_path, PICTURES)
        assert left_in(tmp_path) == sorted(path.name for path in paths)


@pytest.mark.parametrize("content", [None, b"", b"something else"])
def test_without_the_numbers_of_an_earlier_run_nothing_is_removed(
    tmp_path: Path, content: bytes | None
) -> None:
    save_top(top_of("a", "b"), tmp_path, PICTURES)
    if content is None:
        (tmp_path / "top.safetensors").unlink()
    else:
        (tmp_path / "top.safetensors").write_bytes(content)
    save_top(top_of("c"), tmp_path, PICTURES)
    assert left_in(tmp_path) == ["1-a.jpg", "1-c.jpg", "2-b.jpg", "top.safetensors"]


def test_a_failure_leaves_the_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_top(top_of("a", "b"), tmp_path, PICTURES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_top(top_of("c"), tmp_path, PICTURES)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
