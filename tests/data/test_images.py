"""A folder of images: found, decoded, scaled; the bad ones named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neurocensus.data import open_data
from neurocensus.data.images import ImageFolder, Unreadable

from ..conftest import shared_data

Folder = Callable[..., Path]


def save(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", color: object = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color or 0).save(path)  # type: ignore[arg-type]
    return path


def truncate(path: Path, share: float = 0.5) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@given(
    pixels=st.binary(min_size=3 * 6, max_size=3 * 6),
    mean=st.floats(-1, 1, width=32),
    std=st.floats(0.125, 2, width=32),
)
def test_pixels_come_through_exactly(
    pixels: bytes, mean: float, std: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("images")
    array = np.frombuffer(pixels, np.uint8).reshape(2, 3, 3)
    Image.fromarray(array).save(folder / "a.png")
    sample = ImageFolder(folder, mean=[mean], std=[std, std, std])[0]
    assert not isinstance(sample, Unreadable)
    scaled = array.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    wanted = (scaled - np.float32(mean)) / np.float32(std)
    np.testing.assert_array_equal(sample[0], wanted)
    assert sample[1] == -1


COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)).filter(lambda c: any(c.values()))


@given(counts=COUNTS)
def test_folders_are_classes_in_alphabetical_order(
    counts: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A folder without images is no class."""
    root = tmp_path_factory.mktemp("classes")
    for name, count in counts.items():
        (root / name).mkdir()
        for index in range(count):
            save(root / name / f"{index}.png")
    folder = ImageFolder(root)
    named = [folder.classes[label] for label in folder.labels]
    assert named == [path.parent.name for path in folder.paths] == sorted(named)
    assert {name: named.count(name) for name in folder.classes} == {n: c for n, c in counts.items() if c}


def test_hidden_files_are_passed_over_and_others_named(tmp_path: Path) -> None:
    for name in ("a.png", ".hidden.png", "B.PNG"):
        save(tmp_path / name)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "index.csv").write_text("")
    folder = ImageFolder(tmp_path)
    assert [path.name for path in folder.paths] == ["B.PNG", "a.png"]
    assert [path.name for path in folder.ignored] == ["index.csv"]
    assert "index.csv" in open_data(str(tmp_path)).notes[0]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_eight_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), mode=mode)
    sample = ImageFolder(tmp_path)[0]
    assert not isinstance(sample, Unreadable)
    assert sample[0].shape == (3, 4, 6)
    assert sample[0].dtype == np.float32
    assert np.unique(sample[0]).tolist() == ([1.0] if mode == "CMYK" else [0.0])


def test_a_palette_with_transparency_warns_of_nothing(tmp_path: Path) -> None:
    save(tmp_path / "full.png", mode="P")
    Image.open(tmp_path / "full.png").save(tmp_path / "a.png", transparency=b"\x00\x80")
    (tmp_path / "full.png").unlink()
    assert not isinstance(ImageFolder(tmp_path)[0], Unreadable)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.png")
    bad = ImageFolder(tmp_path)[0]
    assert isinstance(bad, Unreadable)
    assert "8 bits" in bad.reason


def test_resizing_gives_height_by_width(tmp_path: Path) -> None:
    save(tmp_path / "a.png", size=(60, 40), color=(255, 0, 0))
    save(tmp_path / "b.png", size=(10, 90))
    sample = ImageFolder(tmp_path, image_size=(5, 7))[0]
    assert not isinstance(sample, Unreadable)
    assert sample[0].shape == (3, 5, 7)
    assert sample[0][:, 2, 3].tolist() == [1.0, 0.0, 0.0]
    square = ImageFolder(tmp_path, image_size=4, mean=0.5, std=0.5)[0]  # one number for both, or for all
    assert not isinstance(square, Unreadable)
    assert square[0].shape == (3, 4, 4)
    assert square[0][:, 2, 3].tolist() == [1.0, -1.0, -1.0]


def test_a_wrong_number_of_means_is_not_the_images_fault(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match=r"^mean: expected one number, or one for each of 3 channels, got \[0"
    ):
        ImageFolder(tmp_path, mean=[0.5, 0.5])
    with pytest.raises(TypeError, match=r"^image_size: expected \(height, width\) in pixels"):
        ImageFolder(tmp_path, image_size=(150.0, 150))  # type: ignore[arg-type]


def test_images_of_unequal_size_name_two_and_the_option(tmp_path: Path) -> None:
    for index, size in enumerate([(6, 4), (6, 4), (4, 6)]):
        save(tmp_path / f"{index}.png", size=size)
    with pytest.raises(ValueError, match=r"0\.png is 6x4, .*2\.png is 4x6 .*--image-size"):
        ImageFolder(tmp_path)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on, of torch's loader
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [False, True])
def test_unreadable_images_are_named_and_counted(tmp_path: Path, workers: int, skip: bool) -> None:
    for index in range(5):
        save(tmp_path / f"{index}.png", size=(60, 40))
    (tmp_path / "1.png").write_bytes(b"")
    truncate(tmp_path / "3.jpg")
    (tmp_path / "3.png").unlink()
    data = open_data(str(tmp_path), batch_size=1, workers=workers, skip_unreadable=skip)
    if skip:
        assert sum(len(images) for (images,) in data.batches) == 3
        assert [bad.path.name for bad in data.skipped] == ["1.png", "3.jpg"]
        list(data.batches)
        assert len(data.skipped) == 2  # of one pass, not of all
    else:
        with pytest.raises(ValueError, match=r"2 of 5 images cannot be read") as caught:
            list(data.batches)
        assert "1.png: UnidentifiedImageError: cannot identify image file\n" in str(caught.value)
        assert "3.jpg: OSError: " in str(caught.value)
        assert "--skip-unreadable" in str(caught.value)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".tif", ".webp"])
def test_truncation_never_passes_for_an_image(tmp_path: Path, suffix: str, share: float) -> None:
    truncate(tmp_path / f"a{suffix}", share)
    assert isinstance(ImageFolder(tmp_path)[0], Unreadable)


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ([], FileNotFoundError, "no image in"),
        (["notes.txt"], FileNotFoundError, "no image in"),
        (["a.png", "cats/b.png"], ValueError, r"got both \(a\.png and cats/b\.png\)"),
        (["train/cats/b.png", "test/dogs/c.png"], ValueError, r"two folders deep \(in test.dogs\).*test$"),
    ],
)
def test_folders_of_another_layout(
    tmp_path: Path, files: list[str], error: type[Exception], words: str
) -> None:
    for name in files:
        if name.endswith(".png"):
            save(tmp_path / name)
        else:
            (tmp_path / name).write_text("")
    with pytest.raises(error, match=words):
        ImageFolder(tmp_path)


def test_batches_of_a_real_photograph(tmp_path: Path) -> None:
    photo = shared_data("sample_photos/cat.jpg")
    data = open_data(str(photo.parent), image_size=(32, 48), batch_size=4, workers=0)
    batches = list(data.batches)
    assert [tuple(images.shape) for (images,) in batches] == [(4, 3, 32, 48), (4, 3, 32, 48), (1, 3, 32, 48)]
    assert all(0.1 < float(images.mean()) < 0.9 and images.dtype == torch.float32 for (images,) in batches)
