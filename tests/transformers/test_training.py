"""Training of a transformer: what is recomputed, accumulated, or of half precision is counted once each."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurocensus.auditor import Auditor
from neurocensus.result import Audit

from ..capture.models import EXACT, assert_is
from .models import batch, build, census_of, watched

NEURONS = {"opt": "model.decoder.layers.{}.activation_fn", "gpt2": "transformer.h.{}.mlp.act"}


def step(model: nn.Module, each: dict[str, Tensor], precision: Any = None) -> None:
    with nullcontext() if precision is None else torch.autocast("cpu", precision):
        loss: Tensor = model(**each, labels=each["input_ids"]).loss
    loss.backward()


def audited(model: nn.Module, batches: list[dict[str, Tensor]]) -> Audit:
    torch.manual_seed(0)  # of dropout
    with Auditor(model) as auditor:
        for each in batches:
            step(model, each)
    return auditor.compute()


def assert_same(result: Audit, expected: Audit) -> None:
    assert list(result.layers) == list(expected.layers)
    assert (result.examples, result.batches) == (expected.examples, expected.batches)
    for name, layer in result.layers.items():
        assert layer.calls == expected.layers[name].calls
        for field in EXACT:
            ours, theirs = getattr(layer.state, field), getattr(expected.layers[name].state, field)
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{name} {field}")


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_activation_checkpointing_counts_what_it_recomputes_once(name: str, reentrant: bool) -> None:
    """Pitfall: hooks run again in the backward pass, where blocks are run once more."""
    batches = [batch([4, 4]), batch([5, 5, 5], seed=1)]
    plain = build(name, use_cache=False).train()
    checkpointed = build(name, use_cache=False).train()
    enable: Any = getattr(checkpointed, "activation_checkpointing_enable", None)  # its name since 5.20 or so
    (enable or checkpointed.gradient_checkpointing_enable)({"use_reentrant": reentrant})
    if reentrant:  # a checkpoint of this kind needs an input with a gradient
        checkpointed.enable_input_require_grads()  # type: ignore[operator]
    with watched({"block": checkpointed.get_submodule(NEURONS[name].format(0))}) as seen:
        result = audited(checkpointed, batches)
    assert len(seen["block"]) == 4  # two forwards, and each again
    assert_same(result, audited(plain, batches))
    for parameter, expected in zip(checkpointed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad)


def test_accumulated_micro_batches_are_counted_once_each() -> None:
    """One optimizer step over four micro-batches: eight examples, as in one large batch."""
    model = build("gpt2", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).train()
    whole = batch([6] * 8)
    parts = [{key: value[at : at + 2] for key, value in whole.items()} for at in range(0, 8, 2)]
    result, expected = audited(model, parts), audited(model, [whole])
    assert (result.examples, result.batches) == (8, 4)
    for name, layer in result.layers.items():
        if name == "transformer.wpe":  # the same for all examples of a batch: once a forward
            assert layer.state.examples == 4
            continue
        theirs = expected.layers[name].state
        assert (layer.state.examples, layer.state.values) == (theirs.examples, theirs.values)
        torch.testing.assert_close(torch.tensor(layer.state.mean), torch.tensor(theirs.mean))


@pytest.mark.parametrize("name", NEURONS)
def test_autocast_is_counted_in_the_type_it_computes_in(name: str) -> None:
    model, batches = build(name).train(), [batch([4, 6]), batch([3, 3, 3], seed=1)]
    modules = {NEURONS[name].format(n): model.get_submodule(NEURONS[name].format(n)) for n in range(2)}
    with watched(modules) as seen, Auditor(model) as auditor:
        for each in batches:
            step(model, each, torch.bfloat16)
    result = auditor.compute()
    for point, outputs in seen.items():
        layer = result.layers[point]
        assert (layer.dtype, layer.training) == ("bfloat16", True)
        shapes = [each["input_ids"].shape for each in batches]
        tokens = [out.view(*shape, -1) for out, shape in zip(outputs, shapes, strict=True)]
        assert {out.dtype for out in tokens} == {torch.bfloat16}
        assert_is(layer, census_of(tokens))


def test_a_model_in_bfloat16() -> None:
    model = build("opt").bfloat16()
    name = NEURONS["opt"].format(1)
    with torch.no_grad(), watched({name: model.get_submodule(name)}) as seen, Auditor(model) as auditor:
        model(**batch([7, 7]))
    layer = auditor.compute().layers[name]
    assert layer.dtype == "bfloat16"
    assert_is(layer, census_of([seen[name][0].view(2, 7, -1)]))
