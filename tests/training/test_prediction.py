"""Outputs for all examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocensus.training import predict

from .samples import features, net, pictures, same, weights


@settings(max_examples=15)
@given(count=st.integers(1, 30), batch_size=st.integers(1, 40))
def test_scores_are_in_the_order_of_the_examples(count: int, batch_size: int) -> None:
    model, examples = net().eval(), pictures(count)
    with torch.no_grad():
        wanted = model(examples.batch(slice(None))[0]).numpy()[:, 0]
    scores = predict(model, examples, batch_size=batch_size)
    assert scores.dtype == np.float32
    assert scores.shape == (count,)
    np.testing.assert_allclose(scores, wanted, rtol=1e-5)


def test_logits_keep_their_classes() -> None:
    assert predict(net(outputs=3), pictures(7, classes=3)).shape == (7, 3)


def test_the_model_is_left_as_it_was() -> None:
    model = net().train()
    model[1].eval()
    before, state = weights(model), torch.get_rng_state()
    predict(model, pictures(5))
    assert same(weights(model), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True, True, True, True]


def test_nothing_to_predict() -> None:
    with pytest.raises(ValueError, match="examples: expected at least one, got none"):
        predict(net(), pictures(3).take([]))


def test_an_output_that_is_no_tensor() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x, x

    with pytest.raises(TypeError, match="model: expected a tensor as output, got tuple"):
        predict(Pair(), features(3))
