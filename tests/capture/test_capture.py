"""Which points an audit finds, and that each is counted on the spot and not kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import Auditor
from neurocensus.state import UnitState

from .models import Apply, assert_counts, axes, run

# The rule: activations, and layers without one after them.


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()), ["2"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(2), nn.ReLU()), ["1", "2"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(), nn.Identity(), nn.ReLU()), ["3"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()), ["0", "2"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)), ["1", "3"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Softmax(1)), ["0"]),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)), ["0", "1"]),
        (nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Conv2d(3, 2, 1)), ["1"]),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.PReLU()), ["1"]),
        (Apply(lambda s, x: F.relu(F.pad(s.a(x), (1, 1)) + s.b(F.pad(x, (1, 1)))),
               a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 1)), ["relu"]),
        (Apply(lambda s, x: F.relu(torch.cat([s.a(x), s.b(x)], 1)),
               a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 1)), ["relu"]),
        (Apply(lambda s, x: F.relu(F.conv2d(x, s.w)), w=nn.Parameter(torch.randn(2, 3, 1, 1))), ["relu"]),
        (Apply(lambda s, x: F.conv2d(x, s.w), w=nn.Parameter(torch.randn(2, 3, 1, 1))), ["conv2d"]),
        (Apply(lambda s, x: x @ s.w.T.contiguous(), w=nn.Parameter(torch.randn(5, 4))), ["matmul"]),
        (Apply(lambda s, x: (x @ x.mT).softmax(-1) @ x), []),  # attention: no parameter
    ],
)  # fmt: skip
def test_default_selection(model: nn.Module, names: list[str]) -> None:
    assert list(run(model, torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)).layers) == names


def test_an_opaque_activation_module_still_answers() -> None:
    """A custom autograd function is seen by no TorchFunctionMode; the module's class says what it is."""

    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clamp(min=0)

    class MyReLU(nn.ReLU):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = Opaque.apply(x)
            return out

    model = nn.Sequential(nn.Conv1d(2, 3, 1), MyReLU(), nn.Conv1d(3, 3, 1))
    assert axes(run(model, torch.randn(2, 2, 5))) == {"1": 1, "2": 1}


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Conv1D(nn.Module):
    """The linear layer of GPT-2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(inputs, outputs)),
            nn.Parameter(torch.zeros(outputs)),
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return rows.view(*x.shape[:-1], -1)


def test_a_custom_leaf_module_that_works_on_stands_for_its_function() -> None:
    model = nn.Sequential(Conv1D(4, 6), Swish(), Conv1D(6, 2))
    x = torch.randn(3, 5, 4)
    with torch.no_grad():
        swish = model[1](model[0](x))
    result = run(model, x, x)
    assert axes(result) == {"1": 2, "2": 2}
    assert [layer.kind for layer in result.layers.values()] == ["Swish", "Conv1D"]
    assert_counts(result.layers["1"], [swish, swish], 2)


# Accounting.


def test_layers_that_are_seen_later_are_counted_and_decided() -> None:
    """Control flow may lead to a point in a later forward only."""
    model = Apply(
        lambda self, x, late: self.out(F.gelu(self.conv1(x[:, :, 0]))) if late else F.relu(self.conv(x)),
        conv=nn.Conv2d(2, 3, 2), conv1=nn.Conv1d(2, 5, 1), out=nn.Conv1d(5, 2, 1),
    )  # fmt: skip
    x = torch.randn(4, 2, 3, 3)
    result = run(model, (x, False), (x, True), (x, True))
    assert axes(result) == {"relu": 1, "gelu": 1, "out": 1}
    assert result.layers["gelu"].state.units == 5
    assert [layer.state.examples for layer in result.layers.values()] == [4, 8, 8]


def test_points_that_never_fire_are_reported() -> None:
    """Pitfall 1: MultiheadAttention never calls out_proj; an unused branch has no activations."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    assert run(attention, (x, x, x), layers=["out_proj"]).never_fired == ("out_proj",)
    default = run(attention, (x, x, x))
    assert (list(default.layers), default.never_fired) == (["MultiheadAttention"], ())

    model = Apply(lambda s, x: F.linear(s.a(x), s.tied.weight), a=nn.ReLU(), b=nn.ReLU(), c=nn.Linear(3, 3),
                  tied=nn.Linear(3, 3), d=nn.Dropout())  # fmt: skip
    result = run(model, torch.randn(2, 3))
    assert (list(result.layers), list(result.never_fired)) == (["a", "linear"], ["b", "c"])
    assert list(result.expected) == ["a", "linear", "b", "c"]
    assert set(run(model, torch.randn(2, 3), layers="modules").never_fired) == {"b", "c", "tied", "d"}
    assert run(model, torch.randn(2, 3), layers=["a", "b.relu"]).never_fired == ("b.relu",)


def test_a_layer_is_counted_before_it_is_overwritten() -> None:
    """Pitfall 4: an in-place ReLU after a convolution overwrites what a hook on it kept."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    x = torch.randn(3, 1, 5, 5)
    expected = model[0](x).detach().clone()
    for layers in ("modules", ["0"]):
        assert_counts(run(model, x, layers=layers).layers["0"], [expected], 1)


def test_no_output_is_kept_alive() -> None:
    """Pitfall 4, without help of the garbage collector."""
    outputs: list[weakref.ref[Tensor]] = []
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    for module in model:
        module.register_forward_hook(lambda *args: outputs.append(weakref.ref(args[-1])))
    gc.collect()
    gc.disable()
    try:
        with Auditor(model):
            for _ in range(3):
                model(torch.randn(2, 3))
            assert [output() for output in outputs] == [None] * 9
    finally:
        gc.enable()


def test_an_output_that_its_activation_takes_at_once_is_never_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also in the first forward, before it is known what follows."""
    counted: list[int] = []
    update = UnitState.update

    def spy(self: UnitState, array: Any, *args: Any, **options: Any) -> UnitState:
        counted.append(self.units)
        return update(self, array, *args, **options)

    monkeypatch.setattr(UnitState, "update", spy)
    model = nn.Sequential(
        nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 4), nn.Dropout(), nn.Linear(4, 2)
    )
    run(model, torch.randn(2, 3))
    assert counted == [5, 4, 2]  # the ReLU, and the two that no activation follows


@pytest.mark.parametrize(
    "spoil", [lambda y: y.mul_(0), lambda y: y.zero_(), lambda y: F.dropout(y, 1.0, True, True)]
)
def test_an_output_is_counted_before_it_is_overwritten(spoil: Callable[[Tensor], Tensor]) -> None:
    """Pitfall 4, for an output of which it is not known yet whether it counts."""
    layer = nn.Linear(3, 5)
    x = torch.randn(4, 3)
    result = run(Apply(lambda s, x: spoil(s.layer(x)), layer=layer), x, x)
    assert_counts(result.layers["layer"], [layer(x), layer(x)], 1)
