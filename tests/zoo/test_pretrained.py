"""Weights of a backbone: from torchvision and from files; what is said of those that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neurocensus import zoo
from neurocensus._torchvision import import_torchvision
from neurocensus.weights import load_weights

State = dict[str, Tensor]
SIZE: dict[str, Any] = {"image_size": 40}
SAVERS: dict[str, Callable[[State, Path], object]] = {
    "w.safetensors": save_file,
    "w.pth": torch.save,
    "w.npz": lambda state, path: np.savez(path, **{key: t.numpy() for key, t in state.items()}),
}


def torchvisions(name: str, classes: int = 10) -> State:
    """A state dict of torchvision's network with random values, batch norms that do something among them."""
    with torch.device("meta"):
        extra: dict[str, Any] = {"init_weights": False} if name == "inception_v3" else {}
        whole = import_torchvision().models.get_model(name, weights=None, num_classes=classes, **extra)
    generator = torch.Generator().manual_seed(1)
    return {
        key: torch.rand(t.shape, generator=generator) * 0.1 + 0.05
        if t.is_floating_point()
        else torch.zeros(t.shape, dtype=t.dtype)
        for key, t in whole.state_dict().items()
    }


def saved(state: State, path: Path) -> Path:
    SAVERS[f"w{path.suffix}"](state, path)
    return path


@pytest.mark.parametrize("file", SAVERS)
def test_files_with_a_classifier_of_any_size(tmp_path: Path, file: str) -> None:
    state = torchvisions("squeezenet1_1", classes=7)
    before = torch.get_rng_state()
    net = zoo.backbone("squeezenet1_1", weights=saved(state, tmp_path / file), **SIZE)
    assert torch.equal(before, torch.get_rng_state())  # nothing is drawn
    for key, tensor in net.layers.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    assert net.notes == ("2 tensors of classifier are no part of the features and were ignored",)
    assert net.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "densenet201", "mobilenet_v2"])
def test_networks_with_batch_norms_and_their_classifiers(tmp_path: Path, name: str) -> None:
    state = torchvisions(name)
    size = 75 if name == "inception_v3" else 40
    if name == "densenet201":  # the names in the file that torchvision distributes
        old = {key.replace("norm1", "norm.1").replace("conv2", "conv.2"): t for key, t in state.items()}
        assert old.keys() != state.keys()
        path = saved(old, tmp_path / "w.pth")
    else:
        path = saved(state, tmp_path / "w.pth")
    net = zoo.backbone(name, weights=str(path), image_size=size)
    for key, tensor in net.layers.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    heads = {"resnet50": "fc", "inception_v3": "AuxLogits, fc"}.get(name, "classifier")
    assert f"of {heads} are no part" in net.notes[0]
    expected = [0.5] * 3 if name == "inception_v3" else [0.229, 0.224, 0.225]
    assert net.std.flatten().tolist() == pytest.approx(expected)


def folded(net: nn.Module) -> State:
    """The state of `net` in evaluation, each batch norm folded into the convolution that it follows."""
    state: State = {}
    last: tuple[str, nn.Conv2d] | None = None
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            last = name, layer
        elif isinstance(layer, nn.BatchNorm2d):
            assert last is not None
            fused = fuse_conv_bn_eval(last[1].eval(), layer.eval())
            state |= {f"{last[0]}.{key}": t.detach().half() for key, t in fused.state_dict().items()}
    return state


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_folded_batch_norms_give_the_same_features(tmp_path: Path, name: str) -> None:
    net = zoo.backbone(name, **SIZE, seed=0)
    with torch.no_grad():
        for norm in (layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(tensor)))
    path = saved(folded(net.layers), tmp_path / "w.npz")
    other = zoo.backbone(name, weights=path, **SIZE)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in other.modules())
    assert all(conv.bias is not None for conv in other.modules() if isinstance(conv, nn.Conv2d))
    assert [note for note in other.notes if "batch norms are folded" in note]
    images = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        expected = net.eval()(images)
        torch.testing.assert_close(
            other.eval()(images), expected, rtol=0.02, atol=0.02 * expected.std().item()
        )
        assert torch.equal(other.train()(images), other.eval()(images))  # no statistics of the batch


def test_what_was_saved_of_a_backbone_or_a_model_is_weights_too(tmp_path: Path) -> None:
    """Its normalisation comes along, unless another is given; so does folding."""
    path = saved(folded(zoo.backbone("mobilenet_v2", **SIZE, seed=0).layers), tmp_path / "folded.npz")
    half: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    model = zoo.create("thesis-5", backbone="mobilenet_v2", weights=path, **SIZE, **half, seed=0)
    files = [
        saved(model.backbone.state_dict(), tmp_path / "backbone.safetensors"),
        saved({f"module.{key}": t for key, t in model.state_dict().items()}, tmp_path / "model.pth"),
    ]
    for file in files:
        net = zoo.backbone("mobilenet_v2", weights=file, **SIZE)
        assert "the weights are those of a saved backbone" in net.notes
        for (key, a), (_, b) in zip(
            net.state_dict().items(), model.backbone.state_dict().items(), strict=True
        ):
            assert torch.equal(a, b), key
    again = zoo.create("thesis-5", backbone="mobilenet_v2", weights=files[1], **SIZE)
    load_weights(again, files[1])
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    chosen = zoo.backbone("mobilenet_v2", weights=files[0], **SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    assert not chosen.mean.any()


def test_a_file_of_the_first_blocks_is_refused_unless_partial(tmp_path: Path) -> None:
    state = torchvisions("squeezenet1_1")
    first = {key: t for key, t in state.items() if int(key.split(".")[1]) < 6 and key.startswith("features")}
    path = saved(first, tmp_path / "first.npz")
    with pytest.raises(ValueError) as caught:
        zoo.backbone("squeezenet1_1", weights=path, **SIZE)
    words = str(caught.value)
    assert "36 missing from the file:\n  features.6.squeeze.weight\n" in words
    assert (
        "weights of block1, block2, and none of block3, block4. Give a complete file, or partial=True"
        in words
    )
    net = zoo.backbone("squeezenet1_1", weights=path, **SIZE, partial=True, seed=3)
    fresh = zoo.backbone("squeezenet1_1", **SIZE, seed=3)
    for key, tensor in net.layers.state_dict().items():
        assert torch.equal(tensor, first.get(key, fresh.layers.state_dict()[key])), key
    assert net.notes[0].startswith("36 of 50 tensors are not in")
    model = zoo.create("thesis-5", backbone="squeezenet1_1", weights=path, **SIZE, partial=True, seed=3)
    assert model.backbone.notes == net.notes


def test_shapes_that_differ_are_counted_and_the_first_named(tmp_path: Path) -> None:
    state = torchvisions("squeezenet1_1")
    for key in ("features.3.squeeze.weight", "features.12.expand1x1.bias"):
        state[key] = torch.ones(2, 2)
    for partial in (False, True):
        with pytest.raises(ValueError) as caught:
            zoo.backbone("squeezenet1_1", weights=saved(state, tmp_path / "w.pth"), **SIZE, partial=partial)
        first = "features.3.squeeze.weight: the model has (16, 64, 1, 1), the file (2, 2)"
        assert f"2 of another shape:\n  {first}\n" in str(caught.value)


@pytest.mark.parametrize("partial", [False, True])
def test_weights_of_another_network_or_of_none(tmp_path: Path, partial: bool) -> None:
    path = saved(torchvisions("squeezenet1_1"), tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match="Expected weights of mobilenet_v2 by torchvision's names; are these of"
    ):
        zoo.backbone("mobilenet_v2", weights=path, **SIZE, partial=partial)
    path = saved({"classifier.1.weight": torch.ones(1)}, tmp_path / "head.pth")
    with pytest.raises(ValueError, match="holds none of the features of mobilenet_v2"):
        zoo.backbone("mobilenet_v2", weights=path, **SIZE, partial=partial)


def test_values_that_no_network_has(tmp_path: Path) -> None:
    """Neither is a question of another network, or of blocks that lack."""
    state = torchvisions("squeezenet1_1")
    state["features.3.squeeze.bias"][2] = float("nan")
    with pytest.raises(ValueError) as caught:
        zoo.backbone("squeezenet1_1", weights=saved(state, tmp_path / "w.npz"), **SIZE)
    assert "NaN or infinite values in 1 of 50 tensors:\n  features.3.squeeze.bias: 1 of 16\n" in str(
        caught.value
    )
    assert "torchvision" not in str(caught.value)
    state = {key: (100 * t).to(torch.int8) for key, t in torchvisions("squeezenet1_1").items()}
    with pytest.raises(ValueError, match="holds 50 of 50 tensors in another kind of numbers") as caught:
        zoo.backbone("squeezenet1_1", weights=saved(state, tmp_path / "w.safetensors"), **SIZE)
    assert "features.0.weight: int8" in str(caught.value)
    assert "Quantised weights mean nothing without their scales" in str(caught.value)
    state = torchvisions("squeezenet1_1")
    state["classifier.1.bias"][0] = float("inf")  # no part of the features
    zoo.backbone("squeezenet1_1", weights=saved(state, tmp_path / "w.pth"), **SIZE)


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"weights: expected a file, got the folder .*; give the"):
        zoo.backbone("squeezenet1_1", weights=str(tmp_path), **SIZE)


@pytest.mark.parametrize("weights", ["none.npz", "folder/none", Path("DEFAULT")])
def test_a_file_that_is_not_there(
    tmp_path: Path, weights: str | Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"weights: no such file: {weights}"):
        zoo.backbone("vgg16", weights=weights)


def test_torchvisions_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded without unpickling, normalised as they say; a file of that name is not in the way."""
    state, asked = torchvisions("squeezenet1_1", classes=1000), {}

    def download(url: str, **options: Any) -> State:
        asked.update(options, url=url)
        return state

    monkeypatch.setattr(import_torchvision().models._api, "load_state_dict_from_url", download)
    net = zoo.backbone("squeezenet1_1", weights="IMAGENET1K_V1", **SIZE)
    assert asked["weights_only"]
    assert asked["check_hash"]
    assert "squeezenet1_1" in asked["url"]
    assert torch.equal(net.layers.state_dict()["features.0.bias"], state["features.0.bias"])
    assert net.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert zoo.backbone("squeezenet1_1", weights="DEFAULT", **SIZE).features == net.features


def test_normalisation_of_weights_from_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of VGG-16's sets wants no division; inception's preset is undone in torchvision's own forward."""
    monkeypatch.setattr(
        import_torchvision().models._api,
        "load_state_dict_from_url",
        lambda url, **_: torchvisions("vgg16" if "vgg" in url else "inception_v3"),
    )
    net = zoo.backbone("vgg16", weights="IMAGENET1K_FEATURES", **SIZE)
    assert net.std.flatten().tolist() == pytest.approx([1 / 255] * 3)
    net = zoo.backbone("inception_v3", weights="DEFAULT", image_size=75)
    assert net.mean.flatten().tolist() == [0.5] * 3


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("invalid hash value")])
def test_without_a_network_it_says_what_to_fetch(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(url: str, **_: Any) -> State:
        raise error

    monkeypatch.setattr(import_torchvision().models._api, "load_state_dict_from_url", fail)
    with pytest.raises(
        ConnectionError, match=rf"{error}. Fetch https://.*vgg16-\w+\.pth .* path of the file"
    ):
        zoo.backbone("vgg16", weights="DEFAULT", **SIZE)


def test_an_unknown_name_of_torchvisions_says_the_closest() -> None:
    with pytest.raises(ValueError, match=r"weights: expected one of IMAGENET1K_V1, .*mean 'IMAGENET1K_V1'"):
        zoo.backbone("squeezenet1_1", weights="IMAGENET1K_V3")
