"""``neurocensus audit --top``: the best examples and their pictures, whatever the data are."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from neurocensus import storage
from neurocensus.cli.top import pictures
from neurocensus.data import open_data
from neurocensus.explain import TopExamples

from ..conftest import shared_data

if TYPE_CHECKING:
    from .conftest import Run

NET = "a net.py:Half"
SHEETS = ["1-1.jpg", "2-2.jpg", "3-4.jpg"]  # ReLU, pooling, linear


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_same_pass_gives_audit_and_examples(run: Run, here: Path) -> None:
    result = run("audit", NET, "--data", "x.npz", "--out", "out", "--top", 3, "--batch-size", 4)
    assert result.exit_code == 0, result.output
    audit, top = storage.load("out/audit.safetensors"), TopExamples.load("out/top/top.safetensors")
    assert (top.k, top.examples, list(top.layers)) == (3, 10, list(audit.layers))
    for name, layer in audit.layers.items():
        np.testing.assert_array_equal(top.layers[name].examples[:, 0], layer.state.argmax)
    assert left_in(here / "out" / "top") == ["top.safetensors"]
    assert "note: no contact sheets: examples of float32 and shape (3,) are no pictures" in result.stderr
    assert result.stderr.rstrip().endswith("wrote out/top")


def test_images_in_a_folder(run: Run, here: Path) -> None:
    """Resized as the model saw them, before the normalisation; an unreadable one shifts no numbers."""
    for index, name in enumerate(["cat/a.png", "cat/b.png", "dog/c.png"]):
        path = here / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + index, 6), (90 * index, 10, 200)).save(path)
    (here / "images" / "cat" / "aa.png").write_bytes(b"no image")
    words = ["audit", "a net.py:conv", "--data", "images", "--image-size", 9, "--mean", 0.5, "--out", "out"]
    result = run(*words, "--top", 2, "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert left_in(here / "out" / "top") == [*SHEETS, "top.safetensors"]
    with Image.open(here / "out" / "top" / SHEETS[0]) as sheet:
        assert (sheet.format, min(sheet.size) > 100) == ("JPEG", True)

    source = open_data("images", image_size=9, mean=0.5, skip_unreadable=True)
    assert len(list(source.batches)) == 1
    shown = pictures("images", source, (9, 9))
    assert (shown.labels, shown.classes) == ([0, 0, 1], ["cat", "dog"])
    assert shown.images is not None
    for index in range(3):
        assert shown.images(index).tolist() == [[[90 * index, 10, 200]] * 9] * 9


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        (PIXELS, PIXELS),
        (PIXELS[..., 0], PIXELS[..., 0]),
        (PIXELS.transpose(0, 3, 1, 2), PIXELS),
        ((PIXELS / 255).transpose(0, 3, 1, 2), PIXELS / 255),
        (PIXELS / 255, PIXELS / 255),
        (PIXELS.transpose(0, 3, 1, 2) - 100.0, None),
        (np.zeros((5, 1, 4, 6)) - 3, np.zeros((5, 4, 6, 1))),
    ],
)
def test_arrays_that_are_pictures(here: Path, x: np.ndarray, wanted: np.ndarray | None) -> None:
    np.savez(here / "p.npz", x=x, y=np.arange(5))
    shown = pictures("p.npz", open_data("p.npz"), None)
    assert shown.images is not None
    assert shown.labels.tolist() == [0, 1, 2, 3, 4]
    for index in range(5):
        found = shown.images(index)
        if wanted is None:  # stretched: what was normalised has lost its scale
            assert (found.min(), found.max()) == (0, 1)
            np.testing.assert_array_equal(
                np.argsort(found, axis=None), np.argsort(x[index].transpose(1, 2, 0), axis=None)
            )
        else:
            np.testing.assert_array_equal(found, wanted[index])


@pytest.mark.parametrize(
    "x",
    [np.zeros((5, 3)), np.zeros((5, 4, 6)), np.zeros((5, 4, 6, 2), np.uint8), np.zeros((5, 2, 2, 3), int)],
)
def test_other_arrays_are_no_pictures(here: Path, x: np.ndarray) -> None:
    np.save(here / "p.npy", x)
    assert "are no pictures" in pictures("p.npy", open_data("p.npy"), None).reason


def test_labels_that_are_no_classes_are_left_out(here: Path) -> None:
    for y in (np.linspace(0, 1, 5), np.arange(5) - 1, np.zeros((5, 2), int)):
        np.savez(here / "p.npz", x=PIXELS, y=y)
        assert pictures("p.npz", open_data("p.npz"), None).labels is None


def test_a_factory_has_no_pictures(run: Run, here: Path) -> None:
    result = run("audit", NET, "--data", "a net.py:batches", "--out", "out", "--top", 2)
    assert result.exit_code == 0, result.output
    assert "no contact sheets: the examples of a factory cannot be fetched" in result.stderr
    assert TopExamples.load("out/top/top.safetensors").examples == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top", "3"], "--top: expected --out too"),
        (["--top", "0", "--out", "out"], "--top"),
        (["--top", "x", "--out", "out"], "--top"),
    ],
)
def test_errors_come_before_the_work(run: Run, here: Path, words: list[str], message: str) -> None:
    result = run("audit", "a net.py:raises", "--data", "x.npz", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (here / "out").exists()


def test_on_real_flowers(run: Run, here: Path) -> None:
    """SqueezeNet's first filters: a sheet of them, on photographs of five classes."""
    with np.load(shared_data("squeezenet1_1_imagenet.npz")) as weights:
        chosen = {f"0.{name}": weights[f"features.0.{name}"] for name in ("weight", "bias")}
    np.savez(here / "w.npz", **chosen)
    with tarfile.open(shared_data("flowers5_600.tar")) as tar:
        for member in [m for m in tar.getmembers() if "/test/" in m.name and m.name.endswith(".jpg")][::10]:
            member.name = member.name.partition("/test/")[2]
            tar.extract(member, here / "flowers", filter="data")
    (here / "first.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU())\n"
    )
    words = ("audit", "first.py:build", "--weights", "w.npz", "--data", "flowers", "--image-size", 64)
    result = run(*words, "--mean", 0.45, "--std", 0.225, "--out", "out", "--top", 4)
    assert result.exit_code == 0, result.output
    assert left_in(here / "out" / "top") == ["1-1.jpg", "top.safetensors"]
    found = TopExamples.load("out/top/top.safetensors").layers["1"]
    assert found.examples.shape == (64, 4)
    assert set(found.examples.ravel()) <= set(range(10))
