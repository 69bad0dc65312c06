"""MobileNet-v2 with ImageNet's weights, on photographs of dogs and cats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurocensus as nc
from neurocensus import data, deletion, transfer, zoo
from neurocensus._torchvision import import_torchvision

from ..conftest import shared_data

pytestmark = [pytest.mark.data, pytest.mark.filterwarnings("ignore:.*torchvision:RuntimeWarning")]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> data.Examples:
    images = data.open_images(shared_data("dogs_vs_cats_5000.tar"))
    chosen = data.split(images, (2, 2, 24), seed=0).test
    cache: Path = tmp_path_factory.mktemp("cache")
    return data.load(images, chosen, size=(96, 96), cache=cache, workers=0)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    path = shared_data("mobilenet_v2_imagenet_bnfolded.npz")
    try:
        import_torchvision()
    except ModuleNotFoundError:
        pytest.skip("needs torchvision")
    net: nn.Module = zoo.create(
        "thesis-5", backbone="mobilenet_v2", weights=path, image_size=(96, 96), seed=0
    )
    return net.eval()


def batches(examples: data.Examples) -> tuple[Tensor, ...]:
    inputs: Tensor = examples.batch(slice(None))[0]
    return inputs.split(12)


@pytest.mark.parametrize("layers", ["activations", "published"])
def test_masking_its_dead_units_changes_no_bit(model: nn.Module, photographs: Any, layers: Any) -> None:
    audit = nc.audit(model, batches(photographs), layers=layers)
    dead = deletion.dead_units(audit)
    assert dead.count > 50
    found = deletion.verify(model, dead, photographs, batch_size=12)
    assert found.equal
    assert found.units == audit.dead
    some = {next(iter(dead)): range(4)}
    assert not deletion.verify(model, some, photographs, batch_size=12).equal, "living units matter"


def test_without_them_it_is_smaller_and_gives_the_same(model: nn.Module, photographs: Any) -> None:
    pytest.importorskip("torch_pruning")
    audit = nc.audit(model, batches(photographs))
    smaller, removal = deletion.remove(
        model, deletion.dead_units(audit), batches(photographs)[0][:2], repeats=1
    )
    assert removal.count > 50
    assert removal.parameters_after < removal.parameters_before
    with torch.inference_mode():
        for batch in batches(photographs):
            assert torch.allclose(model(batch), smaller(batch), atol=1e-5)


def test_its_layers_have_the_activations_after_them(model: nn.Module, photographs: Any) -> None:
    points = transfer.activation_points(model, batches(photographs)[0][:2])
    assert points["backbone.layers.features.0.0"] == "backbone.layers.features.0.2"
    assert points["head.dense1"] == "head.relu1"
    audit = nc.audit(model, batches(photographs))
    assert set(points.values()) <= set(audit.layers)
    before = transfer.snapshot(model)
    weight = model.get_submodule("head.dense1").weight
    with torch.no_grad():
        weight[3] *= 2
    joined = transfer.weight_shift(before, model).join(
        audit, nc.audit(model, batches(photographs)), points=points
    )
    with torch.no_grad():
        weight[3] /= 2
    assert not joined.unmatched
    rows = [row for row in joined.rows("unit") if row["layer"] == "head.dense1"]
    assert [row["unit"] for row in rows if row["relative_l2"]] == [3]
    assert rows[3]["relative_l2"] == pytest.approx(1)
