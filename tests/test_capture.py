"""Which points an audit finds, under which names, with which unit axes, and that it counts each once."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocensus import reference
from neurocensus.auditor import Auditor, audit
from neurocensus.result import Audit, LayerAudit

EXACT = ("examples", "values", "nonzero", "active_examples", "max", "min", "argmax", "nan", "inf")


def assert_counts(layer: LayerAudit, outputs: list[Tensor], unit_axis: int, example_axis: int = 0) -> None:
    """The layer's state is that of the reference over `outputs`, one after the other."""
    expected = reference.empty(layer.state.units)
    for output in outputs:
        part = reference.census(
            output.detach().double().numpy(),
            unit_axis,
            example_axis=example_axis,
            first_example=expected.next_example,
        )
        expected = reference.merge(expected, part)
    for field in EXACT:
        np.testing.assert_array_equal(getattr(layer.state, field), getattr(expected, field), err_msg=field)


def run(model: nn.Module, *inputs: Any, **options: Any) -> Audit:
    """Audit a model as it is (mode, gradients) over some forwards."""
    with Auditor(model, **options) as auditor:
        for x in inputs:
            model(*x) if isinstance(x, tuple) else model(x)
    return auditor.compute()


def axes(result: Audit) -> dict[str, int]:
    return {name: layer.unit_axis for name, layer in result.layers.items()}


class Apply(nn.Module):
    """A module out of a function of itself and the input."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


class Residual(nn.Module):
    """A ResNet block: one in-place ReLU used twice."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + x)


# One mechanism for modules and functions.

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


def test_a_module_called_again_has_points_of_its_own() -> None:
    """Pitfall 3: keyed by (name, call); the index starts again at each forward. Pitfall 4: in-place ReLU."""
    torch.manual_seed(0)
    model = Residual().eval()
    batches = [torch.randn(n, 3, 5, 5) for n in (4, 1, 3)]
    result = run(model, *batches)
    assert axes(result) == {"relu": 1, "relu:2": 1}
    clean = Residual(inplace=False).eval()
    clean.load_state_dict(model.state_dict())
    kept: list[Tensor] = []
    clean.relu.register_forward_hook(lambda m, args, output: kept.append(output))
    with torch.no_grad():
        for x in batches:
            clean(x)
    assert_counts(result.layers["relu"], kept[0::2], 1)
    assert_counts(result.layers["relu:2"], kept[1::2], 1)


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


def test_a_layer_is_counted_before_it_is_overwritten() -> None:
    """Pitfall 4: an in-place ReLU after a convolution overwrites what a hook on it kept."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    x = torch.randn(3, 1, 5, 5)
    expected = model[0](x).detach().clone()
    for layers in ("modules", ["0"]):
        assert_counts(run(model, x, layers=layers).layers["0"], [expected], 1)


def test_a_function_and_a_module_of_one_name_share_their_calls() -> None:
    model = Apply(lambda self, x: F.relu(self.relu(x) - 1), relu=nn.ReLU())
    result = run(model, torch.randn(2, 3), torch.randn(2, 3))
    assert {n: layer.kind for n, layer in result.layers.items()} == {"relu": "ReLU", "relu:2": "relu"}
    assert {layer.state.examples for layer in result.layers.values()} == {4}


def test_a_submodule_called_directly_is_a_forward_of_its_own() -> None:
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "b": nn.Linear(4, 2)})
    with Auditor(model) as auditor:
        for n in (2, 3):
            model["b"](model["a"](torch.randn(n, 3)))
    result = auditor.compute()
    assert {n: (p.state.examples, p.state.next_example) for n, p in result.layers.items()} == {
        "a.1": (5, 5),
        "b": (5, 5),
    }
    assert (result.examples, result.batches) == (5, 2)


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


# The unit axis follows the data.


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


def test_the_unit_rule_is_told_and_can_be_overridden() -> None:
    model = nn.Sequential(nn.Conv1d(3, 6, 1), nn.ReLU())
    x = torch.randn(2, 3, 4)
    assert run(model, x).layers["1"].unit_rule == "axis 1: after conv1d"
    for unit_axis in (-1, {"1": 2}):
        layer = run(model, x, unit_axis=unit_axis).layers["1"]
        assert (layer.unit_rule, layer.unit_axis, layer.state.units) == ("given", 2, 4)
    with pytest.raises(ValueError, match="layer '1': unit_axis: expected an axis of a 3-D output"):
        run(model, x, unit_axis={"1": 3})


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


def test_sequences_that_come_first() -> None:
    """Recurrent modules with batch_first=False have examples on axis 1."""
    model = Apply(
        lambda s, x: s.head(s.lstm(x.transpose(0, 1))[0][-1]), lstm=nn.LSTM(4, 5), head=nn.Linear(5, 2)
    )
    x = torch.randn(3, 7, 4)
    with torch.no_grad():
        hidden = model.lstm(x.transpose(0, 1))[0]
    result = run(model, x)
    assert_counts(result.layers["lstm"], [hidden], 2, example_axis=1)
    assert result.layers["head"].state.examples == 3

    encoder = nn.TransformerEncoderLayer(4, 2, 8).eval()
    result = run(encoder, torch.randn(7, 3, 4), example_axis=1)
    assert {layer.state.examples for layer in result.layers.values()} == {3}
    assert result.examples == 3

    model = Apply(lambda s, x: s.head(s.gru(x)[0][-1]), gru=nn.GRU(4, 5), head=nn.Linear(5, 2))
    result = run(model, torch.randn(7, 3, 4), example_axis=1)
    assert [layer.example_axis for layer in result.layers.values()] == [1, 0]
    assert {layer.state.examples for layer in result.layers.values()} == {3}


def test_the_rank_of_a_layer_may_change_but_not_its_units() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    result = run(model, torch.randn(2, 4), torch.randn(3, 5, 4))
    assert (result.layers["1"].state.examples, result.layers["1"].state.values) == (5, 2 + 15)
    shrinking = Apply(lambda self, x: F.relu(x))
    with pytest.raises(
        ValueError, match=r"layer 'relu': the number of units changed: expected 4, got 5 on axis 1"
    ):
        run(shrinking, torch.randn(2, 4), torch.randn(2, 5))
    assert not shrinking._forward_hooks


# Outputs that are not one plain tensor.


def test_outputs_that_are_not_tensors() -> None:
    """Pitfall 6: of a tuple, a dict or a dataclass, the first floating-point tensor."""
    output = torch.randn(2, 3)
    for made in ((output, 1), [None, output], {"ids": output.long(), "x": output}, ((output,), output + 1)):
        model = nn.Sequential(Apply(lambda self, x, made=made: made))
        assert_counts(run(model, output, layers=["0"]).layers["0"], [output], 1)
    lstm = nn.LSTM(4, 5, batch_first=True)
    x = torch.randn(2, 3, 4)
    assert_counts(run(lstm, x).layers["LSTM"], [lstm(x)[0]], 2)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x.long(), "int64"),
        (lambda x: x > 0, "bool"),
        (lambda x: x + 1j, "complex64"),
        (lambda x: x.to(torch.float8_e5m2), "float8_e5m2"),
        (lambda x: x.sum(), "scalar"),
        (lambda x: x.to_sparse(), "sparse"),
        (lambda x: None, "got none"),
        (lambda x: x[0], "both on axis 0"),
    ],
)
def test_outputs_that_cannot_be_counted(function: Callable[[Tensor], Any], reason: str) -> None:
    """Skipped and told where the layer was not asked for by name, an error where it was."""
    model = nn.Sequential(nn.Linear(3, 3), Apply(lambda self, x: function(x)))
    x = torch.randn(2, 3)
    with Auditor(model, layers="modules") as auditor:
        model(x)
    assert reason in auditor.skipped["1"]
    with pytest.warns(UserWarning, match=f"not counted: 1: .*{reason}"):
        assert list(auditor.compute().layers) == ["0"]
    with pytest.raises((TypeError, ValueError), match=f"layer '1': .*{reason}"):
        run(model, x, layers=["1"])


def test_meta_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="layer '0': the output is on the meta device"):
        run(nn.Sequential(nn.Linear(2, 2, device="meta")), torch.randn(2, 2, device="meta"))


# Accounting.


def test_transformer_layers_are_not_skipped() -> None:
    """Pitfall 1: in eval mode without gradients PyTorch would use a fused path that calls no sub-module."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(3, 5, 8)
    padding = torch.arange(5)[None] >= torch.tensor([[5], [4], [2]])
    with torch.inference_mode(), Auditor(encoder) as auditor:
        fused = [encoder(x), encoder(x, src_key_padding_mask=padding)]
    result = auditor.compute()
    each = ["self_attn", "norm1", "relu", "linear2", "norm2"]
    assert list(result.layers) == [f"layers.{i}.{name}" for i in (0, 1) for name in each]
    assert not result.never_fired
    assert {p.state.examples for p in result.layers.values()} == {6}
    with torch.inference_mode():
        torch.testing.assert_close(encoder(x), fused[0])


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


@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputed_activations_are_counted_once(reentrant: bool) -> None:
    """Pitfall 5: activation checkpointing runs forwards again in the backward pass."""
    block = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), Apply(lambda s, x: F.relu(s.f(x)), f=nn.Linear(6, 6)))
    model = Apply(
        lambda s, x: s.head(checkpoint(s.block, x, use_reentrant=reentrant)),
        block=block,
        head=nn.Linear(6, 1),
    )
    with Auditor(model) as auditor:
        for n in (3, 2):
            model(torch.randn(n, 4, requires_grad=True)).sum().backward()
    result = auditor.compute()
    assert list(result.layers) == ["block.1", "block.2.relu", "head"]
    assert {(p.state.examples, p.calls) for p in result.layers.values()} == {(5, 2)}
    assert model.head.weight.grad is not None
    assert all(layer.training for layer in result.layers.values())


# Wrappers and compiled models.


def test_names_are_those_of_the_users_model() -> None:
    """Pitfall 8."""
    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    x = torch.randn(2, 3)
    for wrapped in (
        nn.DataParallel(inner),
        torch.optim.swa_utils.AveragedModel(inner),
        nn.Sequential(inner[0], torch.compile(inner[1], backend="eager"), inner[2]),
    ):
        result = run(wrapped, x)
        assert list(result.layers) == ["1", "2.1"]
        assert result.never_fired == ()

    class CheckpointWrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self._checkpoint_wrapped_module = module

        def forward(self, x: Tensor) -> Any:
            return self._checkpoint_wrapped_module(x)

    model = nn.Sequential(inner[0], CheckpointWrapper(Apply(lambda s, x: F.relu(x))))
    assert list(run(model, x).layers) == ["1.relu"]
    assert list(run(model, x, layers="modules").layers) == ["0", "1"]


def test_a_module_registered_twice_has_its_first_name() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu)
    assert list(run(model, torch.randn(2, 3)).layers) == ["1", "1:2"]


def test_parametrized_layers_are_one_layer() -> None:
    linear = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.Sequential(linear, nn.ReLU(), torch.nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)))
    assert list(run(model, torch.randn(2, 3)).layers) == ["1", "2"]
    assert list(run(model, torch.randn(2, 3), layers="modules").layers) == ["0", "1", "2"]


@pytest.mark.parametrize("how", ["wrapper", "in place", "submodule"])
def test_compiled_models_run_eagerly_inside_the_block(how: str) -> None:
    """Pitfall 7: hooks added after compiling are ignored; so the compiled model runs uncompiled meanwhile."""
    torch.compiler.reset()
    compiled: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(1)
        return graph.forward

    layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).requires_grad_(False)
    plain = Apply(lambda self, x: self.layers(x), layers=layers)
    x = torch.randn(2, 3)
    model: Any = plain
    if how == "wrapper":
        model = torch.compile(plain, backend=backend)
    elif how == "in place":
        plain.compile(backend=backend)
    else:
        layers[1] = torch.compile(layers[1], backend=backend)
    before = model(x)
    graphs = len(compiled)
    assert graphs
    result = run(model, x, x)
    assert list(result.layers) == ["layers.1", "layers.2"]
    assert result.layers["layers.1"].state.examples == 4
    assert list(audit(model, [x, x]).layers) == ["layers.1", "layers.2"]
    assert len(compiled) == graphs
    torch.testing.assert_close(model(x), before)
    assert len(compiled) == graphs  # and the compiled code is still there, not traced again
    torch.compiler.reset()


def test_compiling_while_audited_does_not_break() -> None:
    torch.compiler.reset()
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with Auditor(model) as auditor:
        compiled = torch.compile(model, backend="eager")
        compiled(torch.randn(2, 3))
    assert set(auditor.compute().layers) <= {"1"}
    torch.compiler.reset()


# The model is left alone.


def test_copies_and_pickles_made_inside_the_block_take_no_hooks_along() -> None:
    """Pitfall 9."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    with Auditor(model) as auditor:
        model(x)
        twin, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        torch.testing.assert_close(twin(x), model(x))
        torch.testing.assert_close(pickled(x), model(x))
    assert auditor.compute().layers["1"].state.examples == 6


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_model_that_raises(where: int) -> None:
    """Pitfall 9: hooks and the mode come off; the exception is the model's own; the next forward is whole."""
    broken = [False]

    def maybe(self: nn.Module, x: Tensor) -> Tensor:
        if broken[0]:
            raise KeyError("mine")
        return x

    layers: list[nn.Module] = [nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)]
    layers.insert(where, nn.Sequential(Apply(maybe)))
    model = nn.Sequential(*layers)
    x = torch.randn(2, 3)
    with Auditor(model) as auditor:
        broken[0] = True
        with pytest.raises(KeyError, match="mine"):
            model(x)
        assert not torch.overrides._get_current_function_mode_stack()
        broken[0] = False
        model(x)
        model(x)
    names = [str(i) for i, m in enumerate(model) if isinstance(m, (nn.ReLU, nn.Linear))][1:]
    result = auditor.compute()
    assert list(result.layers) == names
    assert result.layers[names[1]].state.examples == 4
    assert (result.examples, result.batches) == (4, 2)


def test_an_exception_that_the_model_handles_itself() -> None:
    def fall_back(self: Any, x: Tensor) -> Tensor:
        try:
            return self.bad(x)
        except ZeroDivisionError:
            return self.good(x)

    bad = nn.Sequential(nn.Linear(3, 3), Apply(lambda self, x: x / (1 // 0)))
    model = nn.Sequential(
        Apply(fall_back, bad=bad, good=nn.Sequential(nn.Linear(3, 3), nn.ReLU())), nn.Linear(3, 1)
    )
    result = run(model, torch.randn(2, 3), torch.randn(2, 3))
    assert list(result.layers) == ["0.bad.0", "0.good.1", "1"]


def test_an_interrupted_forward_leaves_no_mode_behind() -> None:
    """Pitfall 9: KeyboardInterrupt runs no hook of the modules it passes."""

    def interrupt(self: nn.Module, x: Tensor) -> Tensor:
        raise KeyboardInterrupt

    model = nn.Sequential(nn.Linear(3, 3), Apply(interrupt))
    with pytest.raises(KeyboardInterrupt), Auditor(model):
        model(torch.randn(2, 3))
    assert not torch.overrides._get_current_function_mode_stack()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_two_auditors_at_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Apply(lambda s, x: F.relu(x)))
    with Auditor(model) as outer, Auditor(model, layers="modules") as inner:
        model(torch.randn(2, 3))
    assert list(outer.compute().layers) == ["1.relu"]
    assert list(inner.compute().layers) == ["0", "1"]


@pytest.mark.parametrize("first_out", [0, 1])
def test_auditors_may_end_in_any_order(first_out: int) -> None:
    """The compiler is let go when the last one is detached."""
    torch.compiler.reset()
    model = Apply(lambda self, x: F.relu(x))
    compiled = torch.compile(model, backend="eager")
    auditors = [Auditor(compiled).attach(), Auditor(model).attach()]
    auditors.pop(first_out).detach()
    compiled(torch.randn(2, 3))
    assert auditors[0].compute().layers["relu"].state.examples == 2
    auditors[0].detach()
    assert torch._dynamo.eval_frame._stance.stance == "default"
    torch.compiler.reset()


def test_transforms_of_torch_func_are_skipped() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with Auditor(model, layers="modules") as auditor:
        torch.vmap(model)(torch.randn(2, 4, 3))
    assert set(auditor.skipped) == {"0", "1"}


def test_names_inside_distributed_data_parallel(tmp_path: Path) -> None:
    """Pitfall 8."""
    if not torch.distributed.is_available() or torch.distributed.is_initialized():
        pytest.skip("needs torch.distributed of its own")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
        x = torch.randn(2, 3)
        result = run(model, x)
        assert list(result.layers) == list(audit(model, [x]).layers) == ["1"]
        assert (result.model, result.never_fired) == ("Sequential", ())
    finally:
        torch.distributed.destroy_process_group()


def test_fully_sharded_models_can_be_audited_and_trained_on(tmp_path: Path) -> None:
    """Pitfall 8: FSDP swaps the parameters of a module during its forward."""
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard") or torch.distributed.is_initialized():
        pytest.skip("needs fully_shard and torch.distributed of its own")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        x = torch.randn(5, 3)
        hidden = model[:2](x)
        fsdp.fully_shard(model[0], mesh=mesh)
        fsdp.fully_shard(model, mesh=mesh)
        assert_counts(audit(model, [x]).layers["1"], [hidden], 1)
        model(x).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    finally:
        torch.distributed.destroy_process_group()


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
