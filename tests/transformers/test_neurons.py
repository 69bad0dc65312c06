"""MLP neurons after the non-linearity as units, tokens as positions, padding left out."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from torch import Tensor, nn

from neurocensus.auditor import Auditor, audit

from ..capture.models import assert_is
from .models import NEURONS, WIDTH, batch, build, census_of, watched

ACT2FN = pytest.importorskip("transformers.activations").ACT2FN

# The name of a layer's neurons, the module that gives them, and that of its points.
ACTIVATIONS = {
    "opt": ("model.decoder.layers.{}.activation_fn", "model.decoder.layers.{}.activation_fn"),
    "gpt2": ("transformer.h.{}.mlp.act", "transformer.h.{}.mlp.act"),
    "llama": ("model.layers.{}.mlp.act_fn.silu", "model.layers.{}.mlp.act_fn"),
    "mistral": ("model.layers.{}.mlp.act_fn.silu", "model.layers.{}.mlp.act_fn"),
    "bert": ("encoder.layer.{}.intermediate.intermediate_act_fn.gelu",
             "encoder.layer.{}.intermediate.intermediate_act_fn"),
}  # fmt: skip
LENGTHS = ([3, 7, 5], [6, 2])


def data(padding: str) -> list[dict[str, Tensor]]:
    return [batch(lengths, padding, seed) for seed, lengths in enumerate(LENGTHS)]


def neurons_of(model: nn.Module, name: str, batches: list[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
    """By hand: (examples, tokens, neurons) of each layer's activation."""
    point, path = ACTIVATIONS[name]
    modules = {point.format(n): model.get_submodule(path.format(n)) for n in range(2)}
    with torch.no_grad(), watched(modules) as seen:
        for each in batches:
            model(**each)
    shapes = [each["input_ids"].shape for each in batches]
    return {
        key: [out.view(*shape, NEURONS) for out, shape in zip(outs, shapes, strict=True)]
        for key, outs in seen.items()
    }


@pytest.mark.parametrize(("attention", "padding"), [("sdpa", "right"), ("eager", "left")])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_neurons_are_counted_on_tokens_and_not_on_padding(name: str, attention: str, padding: str) -> None:
    """Pitfall 12. OPT folds its tokens into rows for the MLP: the mask reaches them all the same."""
    model, batches = build(name, attention), data(padding)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the mask fits every layer
        result = audit(model, batches, mask="attention_mask", progress=False)
    masks = [each["attention_mask"].bool().numpy() for each in batches]
    for point, outputs in neurons_of(model, name, batches).items():
        layer = result.layers[point]
        assert (layer.units, layer.masked, layer.state.examples) == (NEURONS, True, 5)
        assert_is(layer, census_of(outputs, masks=masks))
    assert result.examples == 5
    assert all(layer.masked for layer in result.layers.values())
    whole = audit(model, batches, progress=False)
    for point, outputs in neurons_of(model, name, batches).items():
        assert_is(whole.layers[point], census_of(outputs))


def test_padding_hides_dead_neurons() -> None:
    """A neuron that fires on padding alone is dead on the data."""
    model, padded = build("opt"), batch([3, 7, 5])
    name, keep = ACTIVATIONS["opt"][0].format(0), padded["attention_mask"].bool()
    first = model.get_submodule("model.decoder.layers.0.fc1")
    with torch.no_grad():
        with watched({"fc1": first}) as seen:
            model(**padded)
        before = seen["fc1"][0].view(3, 7, NEURONS)
        on_tokens, on_padding = before[keep].amax(0), before[~keep].amax(0)
        first.get_parameter("bias").sub_(on_tokens + 1e-3)  # no token makes a neuron fire
    whole = audit(model, [padded], progress=False).layers[name]
    masked = audit(model, [padded], mask="attention_mask", progress=False).layers[name]
    assert masked.dead == NEURONS
    assert whole.dead == int((on_padding <= on_tokens + 1e-3).sum()) < NEURONS


@pytest.mark.parametrize("name", sorted({*ACT2FN} - {"linear", "xielu"}))
def test_every_activation_of_transformers_is_the_layer_of_its_neurons(name: str) -> None:
    """The default rule finds it by its functions, or takes the module where these are not its output."""

    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.act, self.down = nn.Linear(WIDTH, NEURONS), ACT2FN[name], nn.Linear(NEURONS, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.down(self.act(self.up(x)))
            return out

    torch.manual_seed(0)
    model, x = Mlp(), torch.randn(3, 5, WIDTH)
    with torch.no_grad():
        neurons = model.act(model.up(x))
    result = audit(model, [x], progress=False)
    layer, rest = next(iter(result.layers.values())), list(result.layers)[1:]
    assert (layer.name.partition(".")[0], rest) == ("act", ["down"])
    assert_is(layer, census_of([neurons]))


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_the_product_of_a_gated_mlp_by_name(name: str) -> None:
    """What the gate lets through, act(gate) * up, is the input of down_proj."""
    model, batches = build(name), data("left")
    points = {f"model.layers.{n}.mlp.mul": f"model.layers.{n}.mlp.down_proj" for n in range(2)}
    modules = {point: model.get_submodule(path) for point, path in points.items()}
    with torch.no_grad(), watched(modules, inputs=True) as seen:
        for each in batches:
            model(**each)
    masks = [each["attention_mask"].bool().numpy() for each in batches]
    for layers in ([*points], re.compile(r"mlp\.mul$")):
        result = audit(model, batches, layers=layers, mask="attention_mask", progress=False)
        assert [*result.layers] == [*points]
        for point, products in seen.items():
            assert_is(result.layers[point], census_of(products, masks=masks))


def test_embeddings_of_positions_are_masked_where_no_example_has_a_token() -> None:
    """GPT-2's are the same for all examples: (1, tokens, width)."""
    model, padded = build("gpt2"), batch([2, 3], seed=1)
    padded = {key: torch.nn.functional.pad(value, (0, 2)) for key, value in padded.items()}
    layer = audit(model, [padded], mask="attention_mask", progress=False).layers["transformer.wpe"]
    assert (layer.masked, layer.state.examples, layer.state.values) == (True, 1, 3)


def test_the_strongest_input_of_a_folded_neuron_is_an_example_of_the_data() -> None:
    from neurocensus.explain import top_examples

    model, batches = build("opt"), data("right")
    name = ACTIVATIONS["opt"][0].format(1)
    layer = top_examples(model, batches, 2, mask="attention_mask", layers=[name]).layers[name]
    firsts = [0, 3]
    for unit in range(NEURONS):
        peaks = [
            (out.masked_fill(each["attention_mask"][..., None] == 0, -torch.inf))[..., unit].amax(1)
            for out, each in zip(neurons_of(model, "opt", batches)[name], batches, strict=True)
        ]
        every = torch.cat(peaks)
        assert layer.examples[unit][0] == int(every.argmax())
    assert firsts[1] + 2 == len(every)


def test_compiled_models_unfold_rows_too() -> None:
    from neurocensus.capture.compiler import can_trace

    if not can_trace():
        pytest.skip("this torch audits compiled models uncompiled")

    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu = nn.Linear(WIDTH, NEURONS), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.relu(self.fc(x.view(-1, WIDTH))).view(*x.shape[:2], NEURONS)
            return out

    torch.compiler.reset()
    model = Folded()
    inputs = [torch.randn(3, length, WIDTH) for length in (5, 5, 4)]
    masks = [torch.rand(x.shape[:2]) < 0.5 for x in inputs]
    with torch.no_grad():
        outputs = [model(x) for x in inputs]
        with Auditor(model, layers=["relu"]) as auditor:
            run = torch.compile(model, backend="eager", fullgraph=True)
            for x, mask in zip(inputs, masks, strict=True):
                auditor.mask = mask
                run(x)
            assert auditor.uncompiled is None
            layer = auditor.compute().layers["relu"]
    torch.compiler.reset()
    assert layer.calls == 3
    assert_is(layer, census_of(outputs, masks=[mask.numpy() for mask in masks]))
