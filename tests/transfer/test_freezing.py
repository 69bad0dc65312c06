from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from neurocensus import transfer, zoo

from .models import Blocks, Transfer, learning


def test_a_frozen_part_has_nothing_to_learn() -> None:
    model = Transfer()
    transfer.freeze(model.backbone)
    assert learning(model) == {"head.0", "head.2"}
    assert model.training
    assert not model.backbone.layers[1].training, "its running statistics would move"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("block3", {"backbone.layers.5", "head.0", "head.2"}),
        ("block2", {"backbone.layers.3", "backbone.layers.5", "head.0", "head.2"}),
        ("backbone.layers.5", {"backbone.layers.5", "head.0", "head.2"}),
        ("head", {"head.0", "head.2"}),
        ("head.2", {"head.2"}),
    ],
)
def test_from_a_block_on_everything_learns_and_nothing_before_it(block: str, expected: set[str]) -> None:
    model = Transfer()
    transfer.freeze(model)
    transfer.unfreeze_from(model, block)
    assert learning(model) == expected


def test_what_comes_before_the_block_stays_as_it_is() -> None:
    model = Transfer()
    transfer.freeze(model.backbone.layers[0])
    before = learning(model)
    transfer.unfreeze_from(model, "block3")
    assert learning(model) == before


def test_norms_that_learn_again_are_in_the_models_mode() -> None:
    model = Transfer()
    transfer.freeze(model)
    transfer.unfreeze_from(model, "block1")
    assert model.backbone.layers[1].training
    model.eval()
    transfer.unfreeze_from(model, "block1")
    assert not model.backbone.layers[1].training


def test_blocks_run_in_their_own_order_not_in_that_of_registration() -> None:
    model = Blocks()
    model.blocks = {"first": ("layers.5",), "second": ("layers.3",), "third": ("layers.0", "layers.1")}
    transfer.freeze(model)
    transfer.unfreeze_from(model, "second")
    assert learning(model) == {"layers.3", "layers.0", "layers.1"}


def test_a_model_without_declared_blocks_has_its_children() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert transfer.blocks(model) == {"0": ("0",), "3": ("3",)}
    transfer.freeze(model)
    transfer.unfreeze_from(model, "3")
    assert learning(model) == {"3"}


def test_an_attribute_called_blocks_that_is_something_else_declares_nothing() -> None:
    model = nn.Module()
    model.blocks = nn.ModuleDict({"a": nn.Linear(1, 1)})
    assert transfer.blocks(model) == {"blocks": ("blocks",)}
    model = nn.Module()
    model.blocks = {"a": 3}
    assert transfer.blocks(model) == {}


def test_two_backbones_tell_their_blocks_apart() -> None:
    model = nn.ModuleDict({"left": Blocks(), "right": Blocks()})
    assert list(transfer.blocks(model)) == [f"{s}.block{k}" for s in ("left", "right") for k in (1, 2, 3)]
    transfer.freeze(model)
    transfer.unfreeze_from(model, "left.block3")
    assert learning(model) == {"left.layers.5", *(f"right.layers.{k}" for k in (0, 1, 3, 5))}


def test_a_parametrized_weight_belongs_to_its_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 2), weight_norm(nn.Linear(2, 2)))
    transfer.freeze(model)
    transfer.unfreeze_from(model, "1")
    assert all(parameter.requires_grad for parameter in model[1].parameters())
    assert not model[0].weight.requires_grad


def test_wrapped_models_go_by_the_names_of_the_model_inside() -> None:
    model = nn.DataParallel(Transfer())
    transfer.freeze(model)
    transfer.unfreeze_from(model, "head")
    assert learning(model.module) == {"head.0", "head.2"}


def test_integer_parameters_cannot_learn_and_are_left_alone() -> None:
    model = nn.Linear(2, 2)
    model.table = nn.Parameter(torch.zeros(3, dtype=torch.int8), requires_grad=False)
    transfer.unfreeze_from(nn.Sequential(model), "0")
    assert not model.table.requires_grad


@pytest.mark.parametrize("block", ["blok2", "", "backbone.layers.2", "backbone.blocks", "model"])
def test_an_unknown_block_is_an_error_that_lists_the_blocks(block: str) -> None:
    model = Transfer()
    transfer.freeze(model)
    with pytest.raises(ValueError, match=r"no block .*Blocks: block1, block2, block3\. Or .*head\.2"):
        transfer.unfreeze_from(model, block)
    assert not learning(model)


def test_the_error_has_the_closest_name() -> None:
    with pytest.raises(ValueError, match="Did you mean 'block2'"):
        transfer.unfreeze_from(Transfer(), "blok2")


def test_blocks_that_name_missing_modules_are_an_error() -> None:
    model = Blocks()
    model.blocks = {"a": ("layers.9",)}
    with pytest.raises(ValueError, match=r"model: its blocks name the module 'layers\.9'"):
        transfer.unfreeze_from(model, "a")


def test_wrong_types_are_told() -> None:
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module, got int"):
        transfer.freeze(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="block: expected the name of a block, got int"):
        transfer.unfreeze_from(Transfer(), 3)  # type: ignore[arg-type]


def test_parameters_are_counted_once_and_buffers_are_not() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model.append(model[0])
    assert transfer.trainable(model) == (2 * 3 + 3 + 6, 2 * 3 + 3 + 6)
    transfer.freeze(model[1])
    assert transfer.trainable(model) == (15, 9)
    assert transfer.trainable(model).trainable == 9


def test_a_lazy_parameter_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="lazy parameter without a shape"):
        transfer.trainable(nn.LazyLinear(2))


@pytest.mark.filterwarnings("ignore:.*torchvision:RuntimeWarning")
def test_the_zoos_transfer_model_trains_its_last_two_blocks() -> None:
    if find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    model = zoo.create("thesis-5", backbone="vgg16", seed=0)
    assert transfer.trainable(model) == (19_172_673, 17_437_185)
    transfer.freeze(model.backbone)
    assert transfer.trainable(model) == (19_172_673, 4_457_985)
    transfer.unfreeze_from(model, "block4")
    assert transfer.trainable(model) == (19_172_673, 17_437_185)
