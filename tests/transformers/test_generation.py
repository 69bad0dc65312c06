"""`generate` with a cache of keys and values: each token goes through the model once, and counts once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurocensus.auditor import Auditor, audit

from ..capture.models import assert_is
from .models import NEURONS, batch, build, census_of, watched

POINTS = {
    "opt": ("model.decoder.layers.1.activation_fn", "model.decoder.layers.1.activation_fn"),
    "gpt2": ("transformer.h.1.mlp.act", "transformer.h.1.mlp.act"),
    "llama": ("model.layers.1.mlp.act_fn.silu", "model.layers.1.mlp.act_fn"),
}
NEW = 4


def generate(model: nn.Module, each: dict[str, Tensor]) -> Any:
    return model.generate(**each, max_new_tokens=NEW, do_sample=False)  # type: ignore[operator]


def model_for(name: str) -> nn.Module:
    model = build(name)
    model.generation_config.eos_token_id = None  # type: ignore[union-attr] # go on to the last token
    model.generation_config.pad_token_id = 0  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize("name", POINTS)
def test_a_prompt_and_each_new_token_are_counted_once(name: str) -> None:
    """The last token is not put in; each forward is a batch; indices are those of the prompts."""
    model, (point, path) = model_for(name), POINTS[name]
    batches = [batch([5, 5, 5]), batch([3, 3], seed=1)]
    with watched({point: model.get_submodule(path)}) as seen:
        result = audit(model, batches, layers=[point], forward=generate, progress=False)
    outputs, layer = seen[point], result.layers[point]
    assert (result.examples, layer.calls) == (5, 2 * NEW)
    assert layer.state.examples == (3 + 2) * NEW
    assert layer.state.values == 3 * (5 + NEW - 1) + 2 * (3 + NEW - 1)
    prompts = []
    for number, (size, length) in enumerate(((3, 5), (2, 3))):
        forwards = outputs[number * NEW : number * NEW + NEW]
        tokens = [out.view(size, length if at == 0 else 1, NEURONS) for at, out in enumerate(forwards)]
        prompts.append(torch.cat(tokens, 1))
    expected = census_of(prompts)
    for field in ("values", "nonzero", "max", "min", "argmax"):
        np.testing.assert_array_equal(getattr(layer.state, field), getattr(expected, field), err_msg=field)


def test_the_mask_of_prompts_is_not_laid_over_new_tokens() -> None:
    """These are counted whole, with a warning: none of them is padding."""
    model, (point, _) = model_for("gpt2"), POINTS["gpt2"]
    prompts = batch([3, 5], "left")
    with pytest.warns(UserWarning, match="the mask does not fit .*mlp.act"):
        result = audit(
            model, [prompts], layers=[point], forward=generate, mask="attention_mask", progress=False
        )
    assert result.layers[point].state.values == (3 + 5) + 2 * (NEW - 1)


def test_without_a_cache_every_token_is_counted_again_and_again() -> None:
    model, (point, path) = model_for("gpt2"), POINTS["gpt2"]
    with (
        torch.no_grad(),
        Auditor(model, layers=[point]) as auditor,
        watched({point: model.get_submodule(path)}) as seen,
    ):
        model.generate(**batch([4, 4]), max_new_tokens=3, do_sample=False, use_cache=False)  # type: ignore[operator]
    layer = auditor.compute().layers[point]
    assert layer.state.values == 2 * (4 + 5 + 6)
    assert_is(layer, census_of(seen[point]))
