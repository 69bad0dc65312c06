"""Decoded once, kept whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from neurocensus.data import Examples, Images, cache, load, open_images, split
from neurocensus.data.images import ImageFolder, Unreadable

from ..conftest import shared_data
from .trees import as_folder, as_tar, png

SIZE = (5, 7)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    files = {f"{c}/{n}.png": png(n + 10 * (c == "dog"), (8 + n, 6)) for c in ("cat", "dog") for n in range(4)}
    return open_images(as_folder(tmp_path / "images", files))


def read(images: Images, folder: Path | None, **options: Any) -> Examples:
    return load(images, **{"size": SIZE, "cache": folder, "workers": 0, **options})


def pixels(examples: Examples) -> np.ndarray[Any, Any]:
    return np.array(examples.inputs)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each image that was decoded."""
    calls: list[int] = []
    decode = cache.try_decode
    monkeypatch.setattr(cache, "try_decode", lambda *a: (calls.append(1), decode(*a))[1])
    return calls


def test_pixels_are_those_of_the_image_folder(images: Images, tmp_path: Path) -> None:
    folder = ImageFolder(images.path, image_size=SIZE)
    examples = read(images, tmp_path / "cache")
    x, y = examples.batch(slice(None))
    for index in range(len(folder)):
        sample = folder[index]
        assert not isinstance(sample, Unreadable)
        np.testing.assert_array_equal(x[index].numpy(), sample[0])
        assert int(y[index]) == sample[1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on, of torch's loader
def test_wherever_they_are_decoded_the_pixels_are_the_same(images: Images, tmp_path: Path) -> None:
    files = {name: images.read(index) for index, name in enumerate(images.names)}
    tar = open_images(as_tar(tmp_path / "a.tar", files))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    kept = [
        read(images, None),
        read(images, tmp_path / "a"),
        read(images, tmp_path / "b", workers=2),
        read(tar, tmp_path / "c", workers=1),
        read(tar, None, workers=None),
    ]
    assert torch.equal(before, torch.get_rng_state())
    for examples in kept:
        np.testing.assert_array_equal(pixels(examples), pixels(kept[0]))
        assert examples.inputs.dtype == np.uint8
        assert examples.inputs.shape == (8, *SIZE, 3)
        assert examples.fingerprint == kept[0].fingerprint
        assert examples.labels.tolist() == [0] * 4 + [1] * 4
        assert examples.classes == ("cat", "dog")
    assert isinstance(kept[1].inputs, np.memmap)
    assert not kept[1].inputs.flags.writeable


def test_chosen_images_in_their_order(images: Images, tmp_path: Path) -> None:
    whole = read(images, tmp_path)
    for chosen in ([5, 0, 5], np.array([7], np.int32), []):
        part = read(images, tmp_path, indices=chosen)
        np.testing.assert_array_equal(pixels(part), pixels(whole)[np.array(chosen, np.int64)])
        assert part.labels.tolist() == whole.labels[np.array(chosen, np.int64)].tolist()
        assert part.fingerprint != whole.fingerprint


def test_nothing_is_decoded_twice(images: Images, tmp_path: Path, decoded: list[int]) -> None:
    first = read(images, tmp_path)
    assert len(decoded) == 8
    np.testing.assert_array_equal(pixels(read(images, tmp_path)), pixels(first))
    assert len(decoded) == 8
    assert read(images, tmp_path, size=(7, 5)).fingerprint != first.fingerprint
    assert len(decoded) == 16


def test_a_changed_image_is_decoded_anew(images: Images, tmp_path: Path) -> None:
    """Also where size and date stay as they were."""
    first = read(images, tmp_path)
    path = images.path / images.names[2]
    times = path.stat()
    Image.new("RGB", (8, 6), (255, 0, 0)).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = read(images, tmp_path)
    assert first.fingerprint != second.fingerprint
    assert pixels(second)[2, 0, 0].tolist() == [255, 0, 0]
    same = [bool((a == b).all()) for a, b in zip(pixels(first), pixels(second), strict=True)]
    assert same == [True, True, False, True, True, True, True, True]


def file_of(examples: Examples) -> str:
    assert isinstance(examples.inputs, np.memmap)
    return str(examples.inputs.filename)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("damage", ["empty", "header", "cut", "short", "text", "objects", "shape", "archive"])
def test_a_file_that_is_not_whole_is_made_again(
    images: Images, tmp_path: Path, damage: str, decoded: list[int]
) -> None:
    folder = tmp_path / "cache"
    wanted = pixels(read(images, folder))
    path = only_file(folder)
    content = path.read_bytes()
    if damage in ("objects", "shape"):
        np.save(path, np.array([{}]) if damage == "objects" else wanted[1:])
    elif damage == "archive":
        with path.open("wb") as file:
            np.savez(file, wanted)
    else:
        kept = {
            "empty": b"",
            "header": content[:40],
            "cut": content[:-1],
            "short": content[:200],
            "text": b"a",
        }
        path.write_bytes(kept[damage])
    np.testing.assert_array_equal(pixels(read(images, folder)), wanted)
    assert len(decoded) == 16
    assert path.read_bytes() == content


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_breaks_off_leaves_nothing(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "_BATCH", 2)
    write = cache._decoded

    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield next(iter(write(*arguments)))
        raise stop

    monkeypatch.setattr(cache, "_decoded", interrupted)
    with pytest.raises(stop):
        read(images, folder)
    assert list(folder.iterdir()) == []


def test_what_killed_processes_left_is_removed(images: Images, tmp_path: Path) -> None:
    """Not what another is writing now, nor what is not ours."""
    names = (".0123456789abcdef.tmp", ".fedcba9876543210.tmp", ".notes.tmp", "old.npy")
    for name in names:
        (tmp_path / "cache" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(b"half")
        if name != names[1]:
            os.utime(tmp_path / "cache" / name, (0, 0))
    made = read(images, tmp_path / "cache")
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {*names[1:], Path(file_of(made)).name}


def test_two_at_once_make_one_whole_file(images: Images, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    barrier = threading.Barrier(2)
    found: list[Examples] = []

    def work() -> None:
        barrier.wait()
        found.append(read(images, folder))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = pixels(read(images, None))
    assert len(found) == 2
    for examples in found:
        np.testing.assert_array_equal(pixels(examples), wanted)
    assert only_file(folder).suffix == ".npy"


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit on the size of files fails in the same call as a full disk does."""
    images = open_images(as_folder(tmp_path / "images", {"a.0.png": png(0), "b.0.png": png(1)}))
    folder = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(
            OSError, match=r"File too large \(1 MB are needed; .*cache=\).*cache.*npy"
        ) as caught:
            read(images, folder, size=(400, 400))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_still_read(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    wanted = pixels(read(images, tmp_path / "cache"))
    decoded.clear()

    def refused(path: Path, **_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refused)
    np.testing.assert_array_equal(pixels(read(images, tmp_path / "cache")), wanted)
    with pytest.raises(PermissionError, match=r"Permission denied \(0 MB are needed; choose another folder"):
        read(images, tmp_path / "cache", size=(3, 3))
    assert decoded == []  # it fails before the work, not after


def test_a_file_in_the_place_of_the_cache(images: Images, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ValueError, match=r"^cache: expected a folder, got the file .*cache$"):
        read(images, tmp_path / "cache")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_do_not_decode_are_all_named(images: Images, tmp_path: Path, workers: int) -> None:
    (images.path / "cat" / "1.png").write_bytes(b"no image")
    path = images.path / "dog" / "3.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="2 of 8 images cannot be read") as caught:
        read(images, tmp_path / "cache", workers=workers)
    message = str(caught.value)
    assert "cat/1.png: UnidentifiedImageError: cannot identify image file\n" in message
    assert "dog/3.png: " in message
    assert "0x" not in message
    assert str(images.path) in message
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("cached", [False, True])
def test_files_that_cannot_be_read_are_named_among_them(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """Links that point nowhere, files that are gone or that the user may not read."""
    (images.path / "cat" / "1.png").write_bytes(b"no image")
    (images.path / "dog" / "0.png").unlink()
    (images.path / "cat" / "0.png").unlink()
    (images.path / "cat" / "0.png").symlink_to(tmp_path / "none.png")
    secret = images.path / "dog" / "2.png"
    read_bytes = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path == secret:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ValueError, match="4 of 8 images cannot be read") as caught:
        read(images, tmp_path / "cache" if cached else None)
    lines = str(caught.value).splitlines()
    assert lines[1:5] == [
        "  cat/0.png: FileNotFoundError: No such file or directory",
        "  cat/1.png: UnidentifiedImageError: cannot identify image file",
        "  dog/0.png: FileNotFoundError: No such file or directory",
        "  dog/2.png: PermissionError: Permission denied",
    ]
    assert str(images.path) in lines[-1]
    assert not (tmp_path / "cache").exists()


def test_a_size_of_one_number_is_a_square(images: Images) -> None:
    square = read(images, None, size=np.int64(5))
    assert square.inputs.shape == (8, 5, 5, 3)
    assert square.fingerprint == read(images, None, size=(5, 5)).fingerprint


def rotated(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show it
    image.save(path, exif=exif)


@pytest.mark.parametrize(
    ("mode", "save"),
    [
        ("RGB", rotated),
        ("L", Image.Image.save),
        ("CMYK", Image.Image.save),
        ("1", lambda image, path: image.save(path, "png")),
        ("P", lambda image, path: image.save(path, "png")),
        ("RGBA", lambda image, path: image.save(path, "png")),
    ],
)
def test_images_of_every_kind(tmp_path: Path, mode: str, save: Callable[[Image.Image, Path], None]) -> None:
    """The left half white, the right half black; EXIF rotation is not applied."""
    image = Image.new("RGB", (16, 16))
    image.paste((255, 255, 255), (0, 0, 8, 16))
    as_folder(tmp_path, {"b.0.png": png()})
    save(image.convert(mode), tmp_path / "a.0.jpg")
    examples = read(open_images(tmp_path), None, size=(16, 16))
    assert pixels(examples)[0, 8, 1].tolist() == [255, 255, 255]
    assert pixels(examples)[0, 8, 14].tolist() == [0, 0, 0]


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    as_folder(tmp_path, {"b.0.png": png()})
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.0.png")
    with pytest.raises(ValueError, match=r"a\.0\.png: ValueError: more than 8 bits"):
        read(open_images(tmp_path), None)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"size": (0, 5)}, ValueError, "size: expected at least 1 x 1 pixels, got 0 x 5"),
        ({"size": (5.0, 5)}, TypeError, r"size: expected \(height, width\) in pixels, or one integer"),
        ({"size": None}, TypeError, r"size: expected \(height, width\) .*, got None"),
        ({"workers": -1}, ValueError, "workers: expected at least 0, got -1"),
        ({"workers": "2"}, TypeError, "workers: expected an integer, got str"),
        ({"indices": [8]}, ValueError, "indices: expected 0 to 7, got 8 to 8"),
        ({"indices": [-1]}, ValueError, "indices"),
        ({"indices": [0.5]}, TypeError, "indices: expected integers"),
        ({"indices": [[0]]}, TypeError, "indices"),
        (
            {"indices": split([0, 0, 1, 1], (2, 2, 0))},
            TypeError,
            "got a Split; give one part, such as its .tr",
        ),
        ({"indices": np.ones(8, bool)}, TypeError, "indices: expected integers .* got bool"),
    ],
)
def test_what_cannot_be_loaded(
    images: Images, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(images, None, **options)


def test_real_photographs(tmp_path: Path) -> None:
    images = open_images(shared_data("dogs_vs_cats_5000.tar"))
    chosen = range(0, 5000, 100)
    first = load(images, chosen, cache=tmp_path, workers=0)
    again = load(open_images(images.path), chosen, cache=tmp_path, workers=0)
    assert first.inputs.shape == (50, 150, 150, 3)
    assert again.fingerprint == first.fingerprint
    x, y = again.batch(slice(None))
    assert 0.3 < float(x.mean()) < 0.6
    assert 0 < int(y.sum()) < 50
