"""Attention heads as units, by request: what each gives to each token, in both ways to compute attention."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from torch import Tensor

from neurocensus.auditor import audit

from ..capture.models import assert_is
from .models import HEADS, batch, build, census_of, watched

# The attention module of a layer, and the projection that takes what the heads give, side by side.
ATTENTION = {
    "opt": ("model.decoder.layers.{}.self_attn", "out_proj"),
    "gpt2": ("transformer.h.{}.attn", "c_proj"),
    "llama": ("model.layers.{}.self_attn", "o_proj"),
}
POINT = {"sdpa": "scaled_dot_product_attention", "eager": "matmul:2"}  # after queries times keys


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ATTENTION)
def test_heads_are_units(name: str, attention: str) -> None:
    """(examples, heads, tokens, features of a head): the mask of tokens goes for all of a head's features."""
    model, batches = build(name, attention), [batch([3, 5], "left"), batch([2, 4, 4], "left", 1)]
    path, projection = ATTENTION[name]
    modules = {path.format(n): model.get_submodule(f"{path.format(n)}.{projection}") for n in range(2)}
    with torch.no_grad(), watched(modules, inputs=True) as seen:
        for each in batches:
            model(**each)
    layers = [f"{path.format(n)}.{POINT[attention]}" for n in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = audit(model, batches, layers=layers, unit_axis=1, mask="attention_mask", progress=False)
    masks = [each["attention_mask"].bool() for each in batches]

    def by_head(out: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        heads = out.view(*mask.shape, HEADS, -1)
        return heads, mask[..., None].expand(*mask.shape, heads.shape[-1])

    for point in layers:
        heads = [by_head(*pair) for pair in zip(seen[point.rpartition(".")[0]], masks, strict=True)]
        expected = census_of([out for out, _ in heads], 2, [mask.numpy() for _, mask in heads])
        assert (result.layers[point].units, result.layers[point].masked) == (HEADS, True)
        assert_is(result.layers[point], expected)


def test_a_head_that_was_switched_off_is_dead() -> None:
    """A pattern chooses the attention of every layer."""
    model = build("llama")
    off = model.get_submodule("model.layers.1.self_attn")
    with torch.no_grad():  # keys and values are shared by two heads each
        off.get_submodule("v_proj").get_parameter("weight")[:4].zero_()
    result = audit(
        model, [batch([6, 6])], layers=re.compile("scaled_dot_product_attention$"), unit_axis=1,
        progress=False,
    )  # fmt: skip
    assert [layer.dead for layer in result.layers.values()] == [0, 2]
    dead = result.layers["model.layers.1.self_attn.scaled_dot_product_attention"].state
    assert (dead.nonzero > 0).tolist() == [False, False, True, True]


def test_what_heads_attend_to() -> None:
    """Weights after the softmax, of the eager way: the mask leaves out the queries of padding."""
    model, padded = build("opt", "eager"), batch([2, 6])
    result = audit(
        model, [padded], layers=["model.decoder.layers.0.self_attn.softmax"], unit_axis=1,
        mask="attention_mask", progress=False,
    )  # fmt: skip
    (layer,) = result.layers.values()
    assert (layer.units, layer.state.values) == (HEADS, (2 + 6) * 6)
    assert layer.state.max.tolist() == [1.0] * HEADS  # the first token attends to itself
    assert (layer.state.nonzero == 2 * 3 // 2 + 6 * 7 // 2).all()  # causal, and never to padding
