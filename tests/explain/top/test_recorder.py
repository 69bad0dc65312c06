"""top_examples and TopRecorder: the right inputs of real models, and the model as it was found."""

from __future__ import annotations

import copy
import io
import re
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import neurocensus as nc
from neurocensus import reference
from neurocensus._torchvision import import_torchvision
from neurocensus.explain import LayerTop, TopRecorder, top_examples
from neurocensus.weights import load_weights

from ...conftest import shared_data


def small_net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(64, 5),
    )


def outputs(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What the two audit points of `small_net` give in eval mode."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        return {"2": model[:3](x), "5": model(x)}


def assert_equal(found: LayerTop, array: Any, k: int, **options: Any) -> None:
    values, examples = reference.top(array, k, **options)
    np.testing.assert_array_equal(found.examples, examples)
    np.testing.assert_array_equal(found.values, values)


X = torch.randn(23, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), k=st.integers(1, 12))
def test_it_finds_them_however_the_data_are_cut(sizes: list[int], k: int) -> None:
    model = small_net()
    chunks = X[: sum(sizes)].split(sizes)
    found = top_examples(model, chunks, k, progress=False)
    assert list(found.layers) == ["2", "5"]
    assert (found.k, found.examples, found.model) == (k, sum(sizes), "Sequential")
    assert [layer.kind for layer in found.layers.values()] == ["ReLU", "Linear"]
    parts = [outputs(model, chunk) for chunk in chunks]
    for name, layer in found.layers.items():
        assert_equal(layer, torch.cat([part[name] for part in parts]).numpy(), k)


def test_the_model_is_left_as_it_was() -> None:
    model = small_net().train()
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    top_examples(model, [X], 2, progress=False)
    assert torch.equal(torch.rand(3), wanted)
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_one_pass_for_an_audit_and_the_top_examples() -> None:
    """Both see the same activations; the best example of each unit is the audit's argmax."""
    model, forwards = small_net(), []
    model.register_forward_hook(lambda *_: forwards.append(1))
    with TopRecorder(model, 3) as top:
        audit = nc.audit(model, X.split(5), max_examples=17)
    found = top.compute()
    assert len(forwards) == 4
    assert found.examples == audit.examples == 17
    assert list(found.layers) == list(audit.layers)
    for name, layer in audit.layers.items():
        np.testing.assert_array_equal(found.layers[name].examples[:, 0], layer.state.argmax)
        np.testing.assert_array_equal(found.layers[name].values[:, 0], layer.state.max)
        np.testing.assert_array_equal(found.layers[name].never_fired, layer.state.dead)
    alone = top_examples(model, X.split(5), 3, max_examples=17, progress=False)
    for name, layer in alone.layers.items():
        np.testing.assert_array_equal(found.layers[name].examples, layer.examples)


def test_a_loop_of_ones_own_and_again_after_a_reset() -> None:
    model = small_net().eval()
    recorder = TopRecorder(model, 2, layers=["2"])
    with pytest.raises(ValueError, match="nothing was seen"):
        recorder.compute()
    with recorder:
        model(X[:10])
        early = recorder.compute()
        model(X[10:]).sum().backward()
    assert_equal(recorder.compute().layers["2"], outputs(model, X)["2"].numpy(), 2)
    assert_equal(early.layers["2"], outputs(model, X[:10])["2"].numpy(), 2)
    recorder.reset()
    with recorder:
        model(X[20:])
    assert_equal(recorder.compute().layers["2"], outputs(model, X[20:])["2"].numpy(), 2)


def test_sequences_with_padding_masked() -> None:
    """Units on the last axis; the pad tokens, which would win, do not count."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.act = nn.Embedding(9, 4), nn.ReLU()

        def forward(self, tokens: Tensor, attention_mask: Tensor) -> Any:
            return self.act(self.embedding(tokens))

    model = Reader()
    with torch.no_grad():
        model.embedding.weight[0] = 100
    tokens = torch.randint(1, 9, (12, 6), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(6) < torch.arange(1, 13)[:, None].clamp(max=6)
    tokens[~mask] = 0
    batches = [
        {"tokens": t, "attention_mask": m} for t, m in zip(tokens.split(5), mask.split(5), strict=True)
    ]
    found = top_examples(model, batches, 4, mask="attention_mask", progress=False).layers["act"]
    assert_equal(
        found, model.act(model.embedding(tokens)).detach().numpy(), 4, unit_axis=2, mask=mask.numpy()
    )
    assert found.values.max() < 100


def test_each_call_of_a_shared_module_is_a_layer() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(-self.relu(x) + 1)

    found = top_examples(Twice(), [torch.randn(9, 4)], 2, progress=False)
    assert list(found.layers) == ["relu", "relu:2"]


def test_a_compiled_model_is_looked_at_uncompiled() -> None:
    model = small_net().eval()
    compiled = torch.compile(model, backend="eager")
    found = top_examples(compiled, X.split(9), 3, progress=False)
    assert_equal(found.layers["5"], outputs(model, X)["5"].numpy(), 3)


class Arrays:
    """A network of arrays."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        self.weights = [rng.standard_normal((7, 6)), rng.standard_normal((6, 2))]

    def activations(self, x: Any) -> dict[str, Any]:
        hidden = np.maximum(x @ self.weights[0], 0)
        return {"hidden": hidden, "output": 1 / (1 + np.exp(-hidden @ self.weights[1]))}


VECTORS = np.random.default_rng(4).standard_normal((31, 7))


def test_networks_of_arrays() -> None:
    model = Arrays()
    batches = [VECTORS[:10], (VECTORS[10:21], "labels"), VECTORS[21:]]
    found = top_examples(model, batches, 4)
    assert (found.model, found.examples, list(found.layers)) == ("Arrays", 31, ["hidden", "output"])
    for name, array in model.activations(VECTORS).items():
        assert_equal(found.layers[name], array, 4)
    first = top_examples(model, batches, 4, max_examples=13, layers=["output"])
    assert (first.examples, list(first.layers)) == (13, ["output"])
    assert_equal(first.layers["output"], model.activations(VECTORS[:13])["output"], 4)
    assert list(top_examples(model, batches, layers=re.compile("^h")).layers) == ["hidden"]


def test_a_layer_that_is_not_there_at_first_has_the_right_examples() -> None:
    class Late:
        calls = 0

        def activations(self, x: Any) -> dict[str, Any]:
            self.calls += 1
            return {"a": x} if self.calls == 1 else {"a": x, "b": x}

    found = top_examples(Late(), [np.eye(2), np.eye(2)], 1).layers["b"]
    assert found.examples.tolist() == [[2], [3]]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"k": 0}, ValueError, "k: expected at least 1, got 0"),
        ({"k": 1.5}, TypeError, "k: expected an integer, got float"),
        ({"loader": X}, TypeError, "loader: expected an iterable of batches, got a single array"),
        ({"loader": []}, ValueError, "loader: expected at least one example"),
        ({"layers": ["7"]}, ValueError, "layers: the model has no layer '7'"),
        ({"max_examples": 0}, ValueError, "max_examples: expected at least 1, got 0"),
        ({"model": 3}, TypeError, "model: expected a torch.nn.Module, or a network with act.*got int"),
        ({"model": Arrays(), "loader": VECTORS}, TypeError, r"iterable of arrays, got ndarray; .*\[x\]"),
        ({"model": Arrays(), "loader": []}, ValueError, "loader: expected at least one example"),
        ({"model": Arrays(), "device": "cpu"}, ValueError, "device: a network of arrays has no such thing"),
        ({"model": Arrays(), "loader": [VECTORS], "layers": ["hiden"]}, ValueError, "Did you mean 'hidden'"),
        ({"model": Arrays(), "loader": [VECTORS], "layers": []}, ValueError, "expected at least one of"),
        ({"model": Arrays(), "loader": [VECTORS], "layers": 3}, TypeError, "expected 'activations', a list"),
        ({"model": Arrays(), "max_examples": 0}, ValueError, "max_examples: expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    given: dict[str, Any] = {"model": small_net(), "loader": [X], "progress": False, **arguments}
    with pytest.raises(kind, match=words):
        top_examples(**given)


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (lambda x: x.sum(axis=1), "(31,)"),
        (lambda x: x[:, :0], "(31, 0)"),
        (lambda x: x.T, "(7, 31)"),
        (lambda x: x[1:], "(30, 7)"),
        (lambda x: x[None], "(1, 31, 7)"),
    ],
)
def test_layers_of_arrays_have_a_row_for_each_input(answer: Callable[[Any], Any], shape: str) -> None:
    class Odd:
        def activations(self, x: Any) -> dict[str, Any]:
            return {"good": x, "a": answer(x) if len(x) == 31 else x}

    words = re.escape(f"to give arrays (31, units), a row for each input, got shape {shape} for 'a'")
    with pytest.raises(ValueError, match=f"^model: expected .* {words}"):
        top_examples(Odd(), [VECTORS[:5], VECTORS])  # those of a later batch are checked too
    assert list(top_examples(Odd(), [VECTORS], layers=["good"]).layers) == ["good"]


def test_activations_that_are_no_mapping() -> None:
    class Bare:
        def activations(self, x: Any) -> Any:
            return x

    with pytest.raises(
        TypeError, match=r"^model: expected activations\(x\) to give a mapping .* got ndarray"
    ):
        top_examples(Bare(), [VECTORS])


def test_units_for_breeds_of_dogs_answer_dogs() -> None:
    """SqueezeNet on 32 real photographs: its units 151 to 268 stand for ImageNet's breeds of dogs."""
    model = import_torchvision().models.squeezenet1_1()
    load_weights(model, shared_data("squeezenet1_1_imagenet.npz"))
    names = [f"{kind}.{number}.jpg" for number in range(16) for kind in ("cat", "dog")]
    with tarfile.open(shared_data("dogs_vs_cats_5000.tar")) as archive:
        files = [archive.extractfile(f"dogs_vs_cats/train/{name}") for name in names]
        images = [Image.open(io.BytesIO(file.read())).resize((112, 112)) for file in files if file]
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / 0.225
    found = top_examples(model, x.split(8), 5, layers=["classifier.3"], progress=False)
    is_dog = found.layers["classifier.3"].examples % 2 == 1
    breeds, cats = is_dog[151:269], is_dog[281:286]
    assert breeds.mean() > 0.8
    assert cats.mean() < 0.2
