"""Which functions are activations and poolings, however they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import Auditor

from .models import Apply, assert_counts, axes, run

RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu inplace": lambda x: F.relu(x, inplace=True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS.keys())
@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_every_way_to_call_relu_is_one_point(
    relu: Callable[[Tensor], Tensor], context: Callable[[], Any]
) -> None:
    """Pitfall 2: functional activations have no module; in-place variants and modes without gradients too."""
    model = nn.Sequential(Apply(lambda self, x: relu(self.conv(x)), conv=nn.Conv2d(2, 3, 3)), nn.Flatten())
    x = torch.randn(4, 2, 6, 6)
    with torch.no_grad():
        expected = F.relu(model[0].conv(x))
    with context():
        result = run(model, x)
    assert list(result.layers) == ["0.relu"]
    assert result.layers["0.relu"].kind == "relu"
    assert_counts(result.layers["0.relu"], [expected], 1)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.sigmoid, "sigmoid"), (torch.special.expit, "sigmoid"), (Tensor.tanh_, "tanh"),
        (F.gelu, "gelu"), (F.silu, "silu"), (F.logsigmoid, "logsigmoid"), (F.hardtanh_, "hardtanh"),
        (F.leaky_relu, "leaky_relu"), (F.softplus, "softplus"), (F.elu_, "elu"), (F.relu6, "relu6"),
        (lambda x: x.clamp(min=0), "clamp"), (lambda x: torch.clamp_min(x, 0), "clamp_min"),
        (lambda x: F.max_pool2d(x, 2), "max_pool2d"), (lambda x: F.avg_pool2d(x, 2), "avg_pool2d"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "max_pool2d"),
        (lambda x: F.adaptive_avg_pool2d(x, 1), "adaptive_avg_pool2d"),
        (lambda x: F.lp_pool2d(x, 2.0, 2), "lp_pool2d"),
    ],
)  # fmt: skip
def test_activation_and_pooling_functions(function: Callable[[Tensor], Tensor], name: str) -> None:
    """Pitfall 2."""
    assert axes(run(Apply(lambda self, x: function(x)), torch.randn(2, 3, 4, 4))) == {name: 1}


def test_clamp_of_indices_is_no_activation() -> None:
    model = Apply(lambda s, x: s.e(x.long().clamp(min=0)), e=nn.Embedding(4, 2))
    auditor = Auditor(model)
    with auditor:
        model(torch.zeros(3))
    assert auditor.skipped == {}
    assert list(auditor.compute().layers) == ["e"]


def test_clamp_that_is_not_a_relu_and_softmax_are_no_activations() -> None:
    model = Apply(lambda self, x: self.fc(x).clamp(-1, 1).softmax(1), fc=nn.Linear(3, 2))
    assert axes(run(model, torch.randn(2, 3))) == {"fc": 1}
