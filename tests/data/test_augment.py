"""The published augmentation, with scipy as the oracle, composed as Keras does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurocensus.data import augmentation
from neurocensus.data.augment import affine, warp

from ..conftest import shared_data


def keras(image: np.ndarray[Any, Any], theta: float, tx: float, ty: float, shear: float, zx: float,
          zy: float, flip: bool) -> np.ndarray[Any, Any]:  # fmt: skip
    """What ``ImageDataGenerator`` does to an image (H, W, channels), about its true centre.

    Angles in degrees, tx and ty in pixels of rows and columns.
    """
    theta, shear = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    slant = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1])
    height, width = image.shape[:2]
    centre = np.array([[1, 0, (height - 1) / 2], [0, 1, (width - 1) / 2], [0, 0, 1]])
    matrix = centre @ rotation @ shift @ slant @ zoom @ np.linalg.inv(centre)
    channels = [
        scipy.ndimage.affine_transform(channel, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest")
        for channel in np.moveaxis(image, -1, 0)
    ]
    out = np.stack(channels, -1)
    return out[:, ::-1] if flip else out


DEGREES = st.floats(-180, 180)
ZOOM = st.floats(0.3, 2)


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    theta=DEGREES,
    tx=st.floats(-20, 20),
    ty=st.floats(-20, 20),
    shear=st.floats(-60, 60),
    zx=ZOOM,
    zy=ZOOM,
    flip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_one_image_is_transformed_as_keras_does(
    shape: tuple[int, int],
    theta: float,
    tx: float,
    ty: float,
    shear: float,
    zx: float,
    zy: float,
    flip: bool,
    seed: int,
) -> None:
    """Also far outside of the image, where its nearest pixel counts, and where it is not square."""
    image = np.random.default_rng(seed).random((*shape, 2))
    matrices, offsets = affine(
        rotation=torch.tensor([theta], dtype=torch.float64),
        shift=torch.tensor([[tx, ty]], dtype=torch.float64),
        shear=torch.tensor([shear], dtype=torch.float64),
        zoom=torch.tensor([[zx, zy]], dtype=torch.float64),
        flip=torch.tensor([flip]),
    )
    out = warp(torch.from_numpy(image).permute(2, 0, 1)[None], matrices, offsets)[0].permute(1, 2, 0)
    wanted = keras(image, theta, tx, ty, shear, zx, zy, flip)
    np.testing.assert_allclose(out.numpy(), wanted, atol=1e-10)


def photographs(count: int, size: int = 150) -> Tensor:
    """Smooth images, as photographs are."""
    torch.manual_seed(1)
    return torch.nn.functional.interpolate(torch.rand(count, 3, 9, 9), size, mode="bilinear")


def test_a_batch_draws_seven_numbers_for_each_image_as_published() -> None:
    """The module against Keras's own ranges, from the same uniform numbers, in float32."""
    images = photographs(6, 60)
    torch.manual_seed(0)
    out = augmentation()(images)
    torch.manual_seed(0)
    draws = torch.rand(6, 7).double().numpy()
    for image, drawn, got in zip(images, draws, out, strict=True):
        spread = 2 * drawn - 1
        wanted = keras(
            image.permute(1, 2, 0).numpy(),
            50 * spread[0],
            0.2 * 60 * spread[1],
            0.2 * 60 * spread[2],
            0.2 * spread[3],
            1 + 0.3 * spread[4],
            1 + 0.3 * spread[5],
            drawn[6] < 0.5,
        )
        np.testing.assert_allclose(got.permute(1, 2, 0).numpy(), wanted, atol=2e-4)


def test_a_real_photograph() -> None:
    """On eight bits, no pixel is off by one."""
    from neurocensus.data.decoding import decode

    pixels = decode(shared_data("sample_photos/cat.jpg"), (150, 150)).astype(np.float32) / 255
    drawn = {"rotation": 41.0, "shear": -0.2, "flip": True}
    matrices, offsets = affine(
        **{name: torch.tensor([value]) for name, value in drawn.items()},
        shift=torch.tensor([[22.5, -30.0]]),
        zoom=torch.tensor([[0.75, 1.25]]),
    )
    out = warp(torch.from_numpy(pixels).permute(2, 0, 1)[None], matrices, offsets)[0].permute(1, 2, 0)
    wanted = keras(pixels, 41, 22.5, -30, -0.2, 0.75, 1.25, True)
    assert np.abs(out.numpy() - wanted).max() < 0.5 / 255


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_no_transform_leaves_the_image(dtype: torch.dtype) -> None:
    images = torch.rand(3, 3, 10, 13).to(dtype)
    out = augmentation(zoom=0, rotation=0, shift=0, shear=0, flip=False)(images)
    assert out.dtype == dtype
    torch.testing.assert_close(out, images, atol=2e-6, rtol=0.01 if dtype.itemsize == 2 else 1e-5)


def test_a_flip_alone_turns_half_of_the_images() -> None:
    images = torch.rand(200, 1, 4, 5)
    torch.manual_seed(0)
    out = augmentation(zoom=0, rotation=0, shift=0, shear=0)(images)
    flipped = (out - images.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    kept = (out - images).abs().amax((1, 2, 3)) < 1e-5
    assert (flipped ^ kept).all()
    assert 70 < int(flipped.sum()) < 130


def test_a_seed_repeats_exactly_and_each_image_is_on_its_own() -> None:
    images = photographs(1).expand(8, -1, -1, -1)
    augment = augmentation()
    torch.manual_seed(7)
    first, second = augment(images), augment(images)
    torch.manual_seed(7)
    assert torch.equal(augment(images), first)
    assert torch.equal(augment(images), second)
    everything = torch.cat((first, second)).flatten(1)
    apart = torch.cdist(everything, everything) + torch.eye(16) * 1e9
    assert float(apart.min()) > 1


def test_the_numbers_of_an_image_do_not_depend_on_the_ranges() -> None:
    """So runs with and without one of the transforms see the same of the others."""
    images = photographs(4)
    torch.manual_seed(3)
    augmentation(rotation=0)(images)
    after = torch.rand(1)
    torch.manual_seed(3)
    augmentation(flip=False)(images)
    assert torch.equal(torch.rand(1), after)


def test_autocast_costs_no_precision() -> None:
    images = photographs(4)
    augment = augmentation()
    torch.manual_seed(0)
    plain = augment(images)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images), plain)


def test_images_and_mode_are_left_alone() -> None:
    images = photographs(2)
    before = images.clone()
    augment = augmentation().eval()
    torch.manual_seed(0)
    out = augment(images)
    assert torch.equal(images, before)
    assert not torch.equal(out, images)
    assert out.is_contiguous()
    assert float(out.min()) >= float(images.min())
    assert float(out.max()) <= float(images.max())
    assert list(augment.parameters()) == []
    assert "zoom=0.3, rotation=50.0, shift=0.2, shear=0.2, flip=True" in repr(augment)


def test_no_images_are_no_error() -> None:
    assert augmentation()(torch.empty(0, 3, 5, 5)).shape == (0, 3, 5, 5)


@pytest.mark.cuda
def test_a_gpu_sees_the_same_images() -> None:
    images = photographs(16)
    augment = augmentation()
    torch.manual_seed(0)
    wanted = augment(images)
    torch.manual_seed(0)
    torch.testing.assert_close(augment(images.cuda()).cpu(), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("zoom", 1.0), ("zoom", -0.1), ("rotation", 180), ("shift", 1), ("shear", 90), ("shear", float("nan"))],
)
def test_ranges_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected a number from 0 to below .* got {value}"):
        augmentation(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("images", [torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, 4, 4)])
def test_what_is_no_batch_of_images(images: Tensor) -> None:
    with pytest.raises(
        TypeError, match=r"images: expected a floating-point batch \(N, channels, H, W\), got"
    ):
        augmentation()(images)
