"""What `open_data` takes the user's words for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neurocensus.data import open_data


@pytest.fixture(autouse=True)
def _clean_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "images" / "a.png")
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.ones(3, np.int64))
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    (tmp_path / "loader.py").write_text(
        "import torch\ndef batches(): return [torch.ones(2, 3)]\ndef text(): return 'abc'\n"
    )
    (tmp_path / "a.csv").write_text("1,2\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "shape"),
    [("images", (1, 3, 2, 2)), ("a.npz", (3, 2)), ("a.npy", (3, 2)), ("loader.py:batches", (3,))],
)
def test_each_kind_gives_batches(here: Path, name: str, shape: tuple[int, ...]) -> None:
    """What a factory makes is left alone; of all else the first of a batch is the examples."""
    data = open_data(str(here / name))
    first = next(iter(data.batches))
    assert tuple(first[0].shape) == shape
    assert len(list(data.batches)) == 1


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("none", {}, FileNotFoundError, "no such file or folder"),
        ("none.npz", {}, FileNotFoundError, "no such file"),
        ("none.py:batches", {}, FileNotFoundError, "no such file"),
        ("a.csv", {}, ValueError, "exists, but is none of these"),
        ("loader.py:text", {}, TypeError, "iterable of batches .* got str"),
        ("a.npy", {"batch_size": 0}, ValueError, "batch_size"),
        ("a.npz", {"image_size": (2, 2)}, ValueError, "--image-size"),
        ("a.npy", {"skip_unreadable": True}, ValueError, "--skip-unreadable"),
        ("a.npy", {"batch_size": 1.5}, TypeError, "batch_size: expected an integer, got float"),
        ("images", {"image_size": 0}, ValueError, "image_size: expected at least 1 x 1 pixels"),
        ("images", {"raw": True}, ValueError, "--raw"),
        ("images", {"key": "x_test"}, ValueError, "--key"),
        ("loader.py:batches", {"mean": [0.5]}, ValueError, "--mean"),
        ("loader.py:batches", {"mean": 0}, ValueError, "--mean"),
    ],
)
def test_what_cannot_be_opened(
    here: Path, name: str, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        open_data(str(here / name), **options)
    assert any(word in str(caught.value) for word in ("data", "batch_size", "image_size"))
