"""The models of the thesis: their counts, what they take and give, and how their weights begin."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocensus import audit, zoo

# Parameters, those that train, and units as published; of images of 150 x 150 and VGG-16.
COUNTS = {
    "thesis-1": (19_024_513, 19_024_513, 929),
    "thesis-2": (3_706_113, 3_706_113, 1_697),
    "thesis-3": (4_457_985, 4_457_985, 1_025),
    "thesis-4": (19_172_673, 4_457_985, 9_217),
    "thesis-5": (19_172_673, 17_437_185, 9_217),
    "thesis-5a": (19_871_289, 18_135_801, 9_193),
    "thesis-5b": (19_435_329, 17_699_841, 9_729),
    "thesis-5c": (19_172_673, 17_437_185, 9_217),
}
SMALL: dict[str, Any] = {"backbone": "vgg16", "image_size": 46}


def example(name: str, size: int = 150, count: int = 1) -> Tensor:
    """What the model `name` takes, of VGG-16."""
    images = torch.rand(count, 3, size, size)
    return torch.rand(count, 512 * (size // 32) ** 2) if name == "thesis-3" else images


def parameters(module: nn.Module) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trains in sizes if trains)


def test_all_models_have_known_counts() -> None:
    assert COUNTS.keys() == set(zoo.names())


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_units_are_the_published_ones(name: str) -> None:
    model = zoo.create(name, seed=0)
    *expected, units = COUNTS[name]
    assert parameters(model) == tuple(expected)
    result = audit(model, [example(name)], layers="published")
    assert result.units == units
    assert result.never_fired == ()
    wholes = [layer.units for layer in result.layers.values() if layer.kind == "Backbone"]
    assert wholes == ([] if name in ("thesis-1", "thesis-2", "thesis-3") else [8192])


@pytest.mark.parametrize("name", zoo.names())
def test_what_it_gives_are_float32_probabilities(name: str) -> None:
    model = zoo.create(name, **SMALL, seed=1).eval()
    x = example(name, 46, count=3)
    with torch.no_grad():
        out = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(x)
        model.get_submodule("head" if name != "thesis-3" else "").output.bias.fill_(9)
        with torch.autocast("cpu", torch.bfloat16):
            sure = model(x)
    assert out.shape == (3, 1)
    assert out.dtype == half.dtype == torch.float32
    assert ((out > 0) & (out < 1)).all()
    torch.testing.assert_close(half, out, atol=0.05, rtol=0)
    assert (sure < 1).all()  # bfloat16 has nothing between 0.996 and 1


@pytest.mark.parametrize("name", zoo.names())
def test_the_last_two_blocks_train_and_only_with_fine_tuning(name: str) -> None:
    model = zoo.create(name, **SMALL, seed=0)
    torch.nn.functional.binary_cross_entropy(model(example(name, 46, 2)), torch.ones(2, 1)).backward()
    for key, parameter in model.named_parameters():
        first, number = (key.split(".")[i] for i in (0, 3)) if key.startswith("backbone") else (key, "0")
        fine_tuned = zoo.recipe(name).backbone == "fine-tuned" and int(number) >= 17  # block4_conv1 of Keras
        assert parameter.requires_grad == (first != "backbone" or fine_tuned), key
        assert (parameter.grad is not None) == parameter.requires_grad, key


@pytest.mark.parametrize("name", ["thesis-2", "thesis-3", "thesis-4"])
def test_a_seed_decides_all_and_leaves_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (zoo.create(name, **SMALL, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    for key in (key for key in first if key.endswith("weight")):
        assert torch.equal(first[key], again[key])
        assert not torch.equal(first[key], other[key])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        drawn = [zoo.create(name, **SMALL).state_dict() for _ in range(2)]
        torch.manual_seed(7)
        drawn.append(zoo.create(name, **SMALL).state_dict())
    key = next(key for key in first if key.endswith("weight"))
    assert torch.equal(drawn[0][key], drawn[2][key])
    assert not torch.equal(drawn[0][key], drawn[1][key])


def test_heads_of_one_seed_are_the_same_in_all_transfer_models() -> None:
    heads = [
        zoo.create("thesis-3", **SMALL, seed=5),
        *(zoo.create(name, **SMALL, seed=5).head for name in ("thesis-4", "thesis-5", "thesis-5c")),
    ]
    for head in heads[1:]:
        assert all(torch.equal(a, b) for a, b in zip(head.parameters(), heads[0].parameters(), strict=True))


def test_weights_begin_as_in_keras() -> None:
    """Glorot uniform: within sqrt(6 / (fan in + fan out)), and filling that range; biases zero."""
    model = zoo.create("thesis-5", seed=0)
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 16
    for layer in layers:
        field = layer.weight[0, 0].numel()
        limit = (6 / (field * sum(layer.weight.shape[:2]))) ** 0.5
        largest = layer.weight.abs().max().item()
        assert 0.95 * limit < largest <= limit * (1 + 1e-6)
        assert abs(layer.weight.mean().item()) < 0.05 * limit
        assert layer.bias is not None
        assert not layer.bias.any()


@given(
    features=st.integers(1, 40),
    dense=st.lists(st.integers(1, 20), max_size=3),
    dropout=st.sampled_from([0.0, 0.5]),
    classes=st.integers(2, 5),
)
def test_heads_of_any_shape(features: int, dense: list[int], dropout: float, classes: int) -> None:
    head = zoo.Head(features, dense, dropout=dropout, classes=classes)
    outputs = 1 if classes == 2 else classes
    widths = [features, *dense, outputs]
    assert parameters(head)[0] == sum((a + 1) * b for a, b in itertools.pairwise(widths))
    assert sum(isinstance(layer, nn.Dropout) for layer in head) == (len(dense) if dropout else 0)
    out = head.eval()(torch.rand(4, features))
    assert out.shape == (4, outputs)
    if classes == 2:
        assert ((out >= 0) & (out <= 1)).all()
    else:  # logits: after the last dense layer comes nothing
        assert isinstance(head[-1], nn.Linear)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 1}, "classes: expected at least 2, got 1"),
        ({"dense": (5, 0)}, "dense: expected at least 1"),
        ({"dropout": 1.0}, "dropout: expected a share from 0 to below 1, got 1.0"),
    ],
)
def test_heads_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        zoo.Head(3, **options)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 3))
def test_a_plain_network_works_from_its_smallest_image_on(channels: list[int], more: int) -> None:
    minimum = 1
    for _ in channels:
        minimum = 2 * minimum + 2  # a pooling halves, a convolution takes a pixel at each side
    size = (minimum, minimum + more)
    model = zoo.PlainCnn(channels, image_size=size, dense=(4,))
    assert model(torch.rand(2, 3, *size)).shape == (2, 1)
    with pytest.raises(
        ValueError, match=f"image_size: .* at least {minimum} x {minimum} .* got {minimum - 1} x"
    ):
        zoo.PlainCnn(channels, image_size=(minimum - 1, minimum))


def test_transfer_takes_any_backbone() -> None:
    below = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    model = zoo.Transfer(below, zoo.Head(2 * 6 * 6, (8,), classes=5))
    assert model(torch.rand(3, 1, 8, 8)).shape == (3, 5)


@pytest.mark.parametrize("name", ["thesis-1", "thesis-4"])
def test_images_that_do_not_fit(name: str) -> None:
    model = zoo.create(name, **SMALL, seed=0)
    for images in (torch.rand(1, 3, 50, 46), torch.rand(1, 1, 46, 46), torch.rand(3, 46, 46)):
        with pytest.raises(ValueError, match=r"images: expected shape \(N, 3, 46, 46\), got .*image_size"):
            model(images)
    with pytest.raises(TypeError, match=r"images: expected floating point .* got torch.uint8; divide by 255"):
        model(torch.zeros(1, 3, 46, 46, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("thesis-6", {}, "name: expected one of thesis-1, .* got 'thesis-6'; did you mean 'thesis-5'"),
        ("thesis-1", {"weights": "DEFAULT"}, "weights: thesis-1 has no backbone inside, got 'DEFAULT'"),
        ("thesis-1", {"partial": True}, "partial: thesis-1 has no backbone"),
        ("thesis-3", {"weights": "DEFAULT"}, "weights: thesis-3 has no .*; give it to zoo.backbone"),
        ("thesis-3", {"mean": (0.5,) * 3}, "mean: thesis-3 has no backbone inside"),
        (
            "thesis-3",
            {"backbone": "vgg-16"},
            "backbone: expected one of vgg16, .*'vgg-16'; did you mean 'vgg16'",
        ),
        (
            "thesis-4",
            {"image_size": 31},
            "image_size: expected at least 32 x 32 pixels for vgg16, got 31 x 31",
        ),
        (
            "thesis-3",
            {"image_size": (32, 31)},
            "image_size: expected at least 32 x 32 pixels for vgg16, got 32 x 31",
        ),
        (
            "thesis-2",
            {"image_size": 45},
            "image_size: expected at least 46 x 46 pixels for a .*, got 45 x 45",
        ),
        ("thesis-4", {"seed": -1}, "seed: expected at least 0, got -1"),
    ],
)
def test_what_cannot_be_created(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        zoo.create(name, **options)


@pytest.mark.parametrize("size", [(150,), (150, 150, 3), (150.0, 150), "150", 150.0, None])
@pytest.mark.parametrize("name", ["thesis-1", "thesis-3", "thesis-4"])
def test_sizes_that_are_none(name: str, size: Any) -> None:
    with pytest.raises(TypeError, match=r"image_size: expected \(height, width\) in pixels"):
        zoo.create(name, image_size=size)


def test_sizes_of_numpy_are_sizes() -> None:
    model = zoo.create("thesis-1", image_size=np.int64(30), seed=np.uint8(0))
    assert model.image_size == (30, 30)
    assert type(model.image_size[0]) is int


@pytest.mark.parametrize("seed", ["0", 1.5])
def test_seeds_that_are_none(seed: Any) -> None:
    for name in ("thesis-1", "thesis-4"):
        with pytest.raises(TypeError, match=f"seed: expected an integer, got {type(seed).__name__}"):
            zoo.create(name, **SMALL, seed=seed)
