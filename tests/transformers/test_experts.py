"""Mixture-of-experts: experts see different numbers of tokens; one that saw none is unseen, not dead."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import Auditor, audit

from ..capture.models import assert_is
from .models import NEURONS, batch, build, census_of, watched

MODELS = ("mixtral", "olmoe", "qwen2_moe")


class Experts(nn.Module):
    """The first feature of a token chooses its expert; `call_all`: also those that no token has chosen."""

    def __init__(self, experts: int = 4, call_all: bool = False) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 5)) for _ in range(experts)
        )
        self.call_all = call_all

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        tokens = x.reshape(-1, 5)
        chosen = tokens[:, 0].long()
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            mine = torch.where(chosen == number)[0]
            if len(mine) or self.call_all:
                out.index_add_(0, mine, expert(tokens[mine]))
        return out.view_as(x)


def routed(*experts: list[int]) -> Tensor:
    """(examples, tokens, 5), each token to the expert of that number."""
    generator = torch.Generator().manual_seed(len(experts))
    x = torch.randn(len(experts), len(experts[0]), 5, generator=generator)
    x[..., 0] = torch.tensor(experts, dtype=torch.float32) + 0.5
    return x


def tokens_of(expert: int, *batches: Tensor) -> list[Tensor]:
    return [x[x[..., 0].long() == expert] for x in batches]


@pytest.mark.parametrize("call_all", [False, True])
def test_each_expert_is_counted_on_its_own_tokens(call_all: bool) -> None:
    """The second batch has none for expert 0, the first none for 2, no batch has any for 3.

    Expert 1 has three tokens of the second batch, which has three examples: they are tokens all the same.
    """
    torch.manual_seed(1)
    model = Experts(call_all=call_all)
    with torch.no_grad():
        bias = model.get_submodule("experts.1.0").get_parameter("bias")
        bias.fill_(9.0)[2] = -9.0  # one is dead, in an expert that is used
    batches = [routed([0, 1, 1], [0, 0, 1]), routed([2, 1, 2], [1, 1, 2], [2, 2, 2])]
    result = audit(model, batches, progress=False)
    for expert in range(3):
        relu = result.layers[f"experts.{expert}.1"]
        with torch.no_grad():
            before = model.get_submodule(f"experts.{expert}.0")
            neurons = [before(rows).relu() for rows in tokens_of(expert, *batches)]
        assert_is(relu, census_of([torch.cat(neurons)], 1))  # rows are its examples: tokens
    assert result.layers["experts.1.1"].dead == 1
    names = [f"experts.3.{n}" for n in (1, 2)]
    if call_all:
        assert [result.layers[name].unseen for name in names] == [6, 5]
        assert [result.layers[name].dead for name in names] == [0, 0]
        assert result.never_fired == ()
        assert any("unseen is not dead" in line for line in result.warnings)
    else:
        assert not {*names} & {*result.layers}
        assert {*names} <= {*result.never_fired}
        assert any("never fired" in line for line in result.warnings)
    assert result.dead == sum(int((layer.state.max == 0).sum()) for layer in result.layers.values())
    assert (result.examples, result.batches) == (5, 2)


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 0, 1], [1, 2, 1]],  # two tokens for expert 0: as many as there are examples
        [[1, 0, 0], [0, 1, 1]],  # and as many as positions
        [[0, 0, 0], [0, 0, 0]],  # all of them
    ],
)
def test_a_mask_of_tokens_is_never_laid_over_the_rows_of_an_expert(rows: list[list[int]]) -> None:
    """Whose tokens an expert has cannot be seen from its output, however well their number fits."""
    model, x = Experts(), routed(*rows)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    with pytest.warns(UserWarning, match=r"mask does not fit .*experts\.0\.1 "):
        result = audit(model, [{"x": x, "attention_mask": mask}], mask="attention_mask", progress=False)
    for name, layer in result.layers.items():
        expert = int(name.split(".")[1])
        assert not layer.masked
        assert layer.state.values == len(tokens_of(expert, x)[0])


def test_batches_without_tokens_change_nothing() -> None:
    model = Experts(call_all=True)
    x = routed([0, 1, 2])
    with torch.no_grad(), Auditor(model) as auditor:
        model(x)
        before = auditor.compute()
        model(x[:, :0])
        after = auditor.compute()
    for name, layer in before.layers.items():
        assert (after.layers[name].state.max == layer.state.max).all()
        assert after.layers[name].state.values == layer.state.values
        assert after.layers[name].unseen == layer.unseen


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("implementation", ["grouped_mm", "batched_mm"])
def test_fused_experts_are_one_layer_of_the_tokens_of_all(name: str, implementation: str) -> None:
    """A neuron of the layer is that of this number in each expert. What lies before is found as ever."""
    if implementation == "grouped_mm" and not hasattr(F, "grouped_mm"):
        pytest.skip("this torch has no grouped_mm, Transformers uses an operator of its own")
    model, batches = build(name, experts_implementation=implementation), [batch([4, 4]), batch([5])]
    modules = {n: model.get_submodule(f"model.layers.{n}.mlp.experts.act_fn") for n in ("0", "1")}
    with torch.no_grad(), watched(modules) as seen:
        for each in batches:
            model(**each)
    result = audit(model, batches, progress=False)
    for n, outputs in seen.items():
        layer = result.layers[f"model.layers.{n}.mlp.experts.act_fn.silu"]
        assert layer.units == NEURONS
        assert layer.state.values == 2 * (8 + 5)  # two experts for each token
        assert_is(layer, census_of([torch.cat(outputs)], 1))
    # Nothing of the residual stream was taken to end in an expert's activation.
    found = {"model.embed_tokens", "model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.o_proj"}
    assert found <= {*result.layers}
    assert any(".mlp.gate" in name for name in result.layers)


def test_experts_called_one_by_one_under_one_name_cannot_be_told_apart() -> None:
    """Of the eager implementation: the k-th call is the k-th expert that had tokens, not expert k."""
    model = build("mixtral", experts_implementation="eager")
    few, many = batch([1]), batch([6, 6], seed=1)
    result = audit(model, [few, many], layers=["model.layers.0.mlp.experts.act_fn.silu"], progress=False)
    calls = [layer.calls for layer in result.layers.values()]
    assert calls[:2] == [2, 2]  # two experts had the one token of the first batch, whichever they are
    assert {*calls[2:]} == {1}
