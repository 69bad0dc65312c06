"""Networks trained on ImageNet, on real photographs."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from neurocensus import audit, zoo

from ..conftest import shared_data

MOBILENET = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # trained on pixels from -1 to 1


def photos(numbers: range, size: int) -> tuple[Tensor, Tensor]:
    """Cats and dogs in turn: images (N, 3, size, size) from 0 to 1, and which are dogs."""
    names = [f"{kind}.{number}.jpg" for number in numbers for kind in ("cat", "dog")]
    folder = "dogs_vs_cats/train" if numbers[0] < 1500 else "dogs_vs_cats/test"
    with tarfile.open(shared_data("dogs_vs_cats_5000.tar")) as archive:
        files = [archive.extractfile(f"{folder}/{name}") for name in names]
        images = [Image.open(io.BytesIO(file.read())).resize((size, size)) for file in files if file]
    pixels = torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images]))
    return pixels.permute(0, 3, 1, 2) / 255, torch.tensor([name.startswith("dog") for name in names])


def ridge_accuracy(backbone: zoo.Backbone, size: int) -> float:
    """Of penalised least squares on the features: 300 photographs to learn from, 300 others to tell."""
    backbone.eval()
    (train, y), (test, expected) = photos(range(150), size), photos(range(2000, 2150), size)
    with torch.inference_mode():
        x, asked = (torch.cat([backbone(part) for part in images.split(25)]) for images in (train, test))
    mean = x.mean(0)
    x, asked = x - mean, asked - mean
    kernel = (x @ x.T).double()
    penalty = kernel.diagonal().mean() * torch.eye(len(x))
    weights = torch.linalg.solve(kernel + penalty, y.double() * 2 - 1)
    scores = (asked @ x.T).double() @ weights
    return ((scores > 0) == expected).double().mean().item()


def test_features_of_mobilenet_tell_dogs_from_cats() -> None:
    """From a file with folded batch norms; random features do not tell them apart."""
    path = shared_data("mobilenet_v2_imagenet_bnfolded.npz")
    backbone = zoo.backbone("mobilenet_v2", weights=path, image_size=150, **MOBILENET)
    assert backbone.features == 32_000
    assert any("batch norms are folded" in note for note in backbone.notes)
    assert ridge_accuracy(backbone, 150) > 0.95
    assert ridge_accuracy(zoo.backbone("mobilenet_v2", image_size=64, seed=0), 64) < 0.8


def test_features_of_squeezenet_tell_dogs_from_cats() -> None:
    path = shared_data("squeezenet1_1_imagenet.npz")
    assert ridge_accuracy(zoo.backbone("squeezenet1_1", weights=path, image_size=150), 150) > 0.85


def test_mobilenet_in_the_fine_tuned_model_is_one_layer_of_its_features() -> None:
    path = shared_data("mobilenet_v2_imagenet_bnfolded.npz")
    model = zoo.create("thesis-5", backbone="mobilenet_v2", weights=path, seed=0, **MOBILENET)
    images, _ = photos(range(2), 150)
    result = audit(model, [images], layers="published")
    assert {name: layer.units for name, layer in result.layers.items()} == {
        "backbone": 32_000, "head.relu1": 512, "head.relu2": 512, "head.probability": 1,
    }  # fmt: skip
    assert result.layers["backbone"].state.max.max() <= 6  # its last activation is a ReLU6


@pytest.mark.parametrize(
    ("file", "there", "missing"),
    [
        ("vgg16_blocks1to3_ssd300voc.npz", "block1, block2, block3", "block4, block5"),
        ("vgg16_blocks1to2_oxford.npz", "block1, block2", "block3, block4, block5"),
    ],
)
def test_the_first_blocks_of_vgg16_are_no_vgg16(file: str, there: str, missing: str) -> None:
    path = shared_data(file)
    with pytest.raises(ValueError, match=f"There are weights of {there}, and none of {missing}"):
        zoo.backbone("vgg16", weights=path)
    backbone = zoo.backbone("vgg16", weights=path, partial=True, seed=0)
    assert backbone.layers.get_submodule("features.0").bias.any()
    assert not backbone.layers.get_submodule("features.28").bias.any()
