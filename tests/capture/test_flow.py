"""The unit axis follows the data, which is followed in the first forward only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import Apply, axes, run


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 6), nn.ReLU()), (2, 3, 4), {"1": 2}),
        (nn.Sequential(nn.Conv1d(3, 6, 1), nn.ReLU()), (2, 3, 4), {"1": 1}),
        (nn.Sequential(nn.Linear(4, 6), nn.ReLU()), (2, 3, 3, 4), {"1": 3}),
        (nn.Sequential(nn.Conv2d(3, 6, 1), nn.Flatten(), nn.ReLU()), (2, 3, 4, 4), {"2": 1}),
        (Apply(lambda s, x: F.relu(s.c(x).permute(0, 2, 3, 1)), c=nn.Conv2d(3, 6, 1)),
         (2, 3, 4, 4), {"relu": 3}),
        (Apply(lambda s, x: F.gelu(s.c(x).flatten(2).mT), c=nn.Conv2d(3, 6, 1)), (2, 3, 4, 4), {"gelu": 2}),
        (Apply(lambda s, x: s.f(x).transpose(1, 2).relu(), f=nn.Linear(4, 6)), (2, 3, 4), {"relu": 1}),
        (Apply(lambda s, x: s.f(x)[:, 0].relu(), f=nn.Linear(4, 6)), (2, 3, 4), {"relu": 1}),
        (Apply(lambda s, x: s.c(x).mean((2, 3)).relu(), c=nn.Conv2d(3, 6, 1)), (2, 3, 4, 4), {"relu": 1}),
        (Apply(lambda s, x: torch.einsum("bchw,oc->bohw", x, s.w), w=nn.Parameter(torch.randn(5, 3))),
         (2, 3, 4, 4), {"einsum": 1}),
        (Apply(lambda s, x: s.w @ x, w=nn.Parameter(torch.randn(5, 3))), (2, 3, 4), {"matmul": 1}),
        (nn.Sequential(nn.Conv2d(3, 6, 1), nn.LayerNorm([6, 4, 4])), (2, 3, 4, 4), {"0": 1, "1": 1}),
        (Apply(lambda s, x: F.relu(x)), (2, 3, 4), {"relu": 2}),  # unknown origin, by rank
        (Apply(lambda s, x: s.f(x).squeeze(-1).sigmoid(), f=nn.Linear(4, 1)), (3, 4), {"sigmoid": 1}),
        (nn.LSTM(4, 5, batch_first=True), (2, 3, 4), {"LSTM": 2}),
    ],
)  # fmt: skip
def test_unit_axis(model: nn.Module, shape: tuple[int, ...], expected: dict[str, int]) -> None:
    result = run(model, torch.randn(shape))
    assert axes(result) == expected
    assert all(layer.state.examples == shape[0] for layer in result.layers.values())


@pytest.mark.parametrize(
    "scores",
    [
        lambda q, k: q @ k.transpose(-1, -2),
        lambda q, k: torch.matmul(q, k.mT),
        lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k),
    ],
)
def test_attention_scores_have_a_map_for_each_head(scores: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Capped scores (Gemma 2) have no features left; their last axis is as long as the sequence."""

    def forward(self: Any, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return torch.relu(torch.tanh(scores(q, k)).softmax(-1) @ v)

    model = Apply(forward, qkv=nn.Linear(8, 24))
    result = run(model, torch.randn(3, 5, 8), torch.randn(3, 7, 8))
    assert axes(result) == {"qkv": 2, "tanh": 1, "relu": 3}
    assert (result.layers["tanh"].units, result.layers["relu"].units) == (2, 4)


def test_the_data_is_followed_in_the_first_forward_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Following costs Python work at every function; later forwards must not pay it."""
    from neurocensus.capture import capture

    followed: list[int] = []

    class Counted(capture.Flow):
        def __init__(self) -> None:
            super().__init__()
            followed.append(1)

    monkeypatch.setattr(capture, "Flow", Counted)
    model = nn.Sequential(nn.Linear(3, 3), Apply(lambda self, x: F.relu(x)), nn.Linear(3, 2))
    run(model, *[torch.randn(2, 3)] * 3)
    assert followed == [1]
