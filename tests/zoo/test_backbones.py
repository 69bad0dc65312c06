"""Backbones: torchvision's own features, from which size on, and in which blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus import zoo
from neurocensus._torchvision import import_torchvision

# The smallest image, and the features of one of 150 x 150: channels times what is left of height and width.
BACKBONES = {
    "vgg16": (32, 512 * 4 * 4),
    "vgg19": (32, 512 * 4 * 4),
    "resnet50": (1, 2048 * 5 * 5),
    "inception_v3": (75, 2048 * 3 * 3),
    "densenet201": (29, 1920 * 4 * 4),
    "squeezenet1_1": (17, 512 * 9 * 9),
    "mobilenet_v2": (1, 1280 * 5 * 5),
}


def test_all_backbones_are_known_here() -> None:
    assert zoo.backbones() == tuple(BACKBONES)


@pytest.mark.parametrize("name", BACKBONES)
def test_features_of_the_published_size(name: str) -> None:
    assert zoo.backbone(name, seed=0).features == BACKBONES[name][1]
    weights = import_torchvision().models.get_model_weights(name).DEFAULT
    assert weights.meta["min_size"] == (BACKBONES[name][0],) * 2


@pytest.mark.parametrize("name", BACKBONES)
def test_it_works_from_the_minimum_on_and_says_so_below(name: str) -> None:
    minimum = BACKBONES[name][0]
    net = zoo.backbone(name, image_size=(minimum, minimum + 3), seed=0).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, minimum, minimum + 3)).shape == (2, net.features)
        if minimum > 1:
            with pytest.raises(RuntimeError):  # what the user is spared
                net.layers(torch.rand(1, 3, minimum - 1, minimum - 1))
    with pytest.raises(
        ValueError, match=f"image_size: expected at least {minimum} x {minimum} pixels for {name}, got"
    ):
        zoo.backbone(name, image_size=minimum - 1)


@pytest.mark.parametrize("name", BACKBONES)
def test_it_is_torchvisions_network_up_to_the_last_pooling(name: str) -> None:
    minimum = max(BACKBONES[name][0], 33)
    net = zoo.backbone(name, image_size=minimum, seed=0).eval()
    images = torch.rand(2, 3, minimum, minimum)
    with torch.device("meta"):
        options: dict[str, Any] = {"init_weights": False} if name == "inception_v3" else {}
        whole = import_torchvision().models.get_model(name, weights=None, **options).eval()
    whole.load_state_dict(net.layers.state_dict(), strict=False, assign=True)
    normalised = (images - net.mean) / net.std
    with torch.no_grad():
        if hasattr(whole, "features"):
            expected = whole.features(normalised)
            expected = F.relu(expected) if name == "densenet201" else expected
        else:  # what its own forward gives to the pooling
            seen: list[Tensor] = []
            whole.avgpool.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
            whole.fc = nn.Identity()
            whole(normalised)
            [expected] = seen
        torch.testing.assert_close(net(images), expected.flatten(1), rtol=1e-5, atol=0)
    assert expected.any()


@pytest.mark.parametrize("name", BACKBONES)
def test_blocks_hold_every_parameter_once_in_order(name: str) -> None:
    net = zoo.backbone(name, seed=0)
    assert list(net.blocks) == [f"block{k}" for k in range(1, len(net.blocks) + 1)]
    assert len(net.blocks) == (4 if name == "squeezenet1_1" else 5)
    inside = [
        f"{path}.{key}"
        for paths in net.blocks.values()
        for path in paths
        for key, _ in net.get_submodule(path).named_parameters()
    ]
    assert inside == [key for key, _ in net.named_parameters()]


def test_normalisation_is_inside_and_can_be_chosen() -> None:
    images = torch.rand(2, 3, 40, 40)
    chosen: dict[str, Any] = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.25, 1)}
    for options in ({}, chosen):
        net = zoo.backbone("squeezenet1_1", image_size=40, seed=0, **options).eval()
        mean = torch.tensor(options.get("mean", (0.485, 0.456, 0.406))).view(1, 3, 1, 1)
        std = torch.tensor(options.get("std", (0.229, 0.224, 0.225))).view(1, 3, 1, 1)
        torch.testing.assert_close(net(images), net.layers((images - mean) / std).flatten(1))
    model = zoo.create("thesis-4", backbone="squeezenet1_1", image_size=40, seed=0, **chosen)
    assert model.backbone.mean.flatten().tolist() == pytest.approx(chosen["mean"])


@pytest.mark.parametrize("one", [0.5, [0.5], (0.5, 0.5, 0.5)])
def test_one_number_normalises_all_channels(one: Any) -> None:
    for net in (
        zoo.backbone("squeezenet1_1", image_size=40, seed=0, mean=one, std=one),
        zoo.Backbone("mine", {"conv": nn.Conv2d(3, 1, 1)}, image_size=40, mean=one, std=one),
    ):
        assert net.mean.shape == net.std.shape == (3, 1, 1)
        assert net.mean.flatten().tolist() == net.std.flatten().tolist() == [0.5] * 3
        net.std[0] = 2  # the channels are apart in memory
        assert net.std.flatten().tolist() == [2, 0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": (0.5,) * 3}, r"mean, std: expected both or neither, got mean=\(0.5"),
        ({"mean": (0.5,) * 3, "std": (1, 1)}, "std: expected one number, or one for each of 3 channels"),
        ({"mean": 0.5, "std": (1, 0, 1)}, "std: expected numbers above 0"),
        ({"mean": 0.5, "std": 0}, "std: expected numbers above 0, got 0"),
        ({"mean": (0.5, float("nan"), 0), "std": (1,) * 3}, "mean: expected finite numbers"),
    ],
)
def test_normalisations_that_are_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        zoo.backbone("squeezenet1_1", **options)


def test_a_backbone_of_ones_own() -> None:
    layers = {
        "first": nn.Conv2d(3, 4, 3),
        "norm": nn.BatchNorm2d(4),
        "second": nn.Conv2d(4, 2, 3, bias=False),
    }
    net = zoo.Backbone("mine", layers, image_size=(9, 8), mean=(0, 0, 0), std=(1, 1, 1))
    assert net.features == 2 * 5 * 4
    assert net.blocks == {key: (f"layers.{key}",) for key in layers}
    norm = net.get_submodule("layers.norm")
    assert not norm.running_mean.any()  # counting features is no forward
    assert norm.num_batches_tracked == 0
    assert net(torch.rand(3, 3, 9, 8)).shape == (3, 40)
    assert "mine, image_size=(9, 8), features=40" in repr(net)
    assert zoo.Backbone("mine", layers, image_size=9).image_size == (9, 9)
