"""Every forward is watched, each once; hooks and mode come off, however it ends."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocensus.auditor import Auditor, audit

from .models import Apply, run


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


def test_calls_from_two_threads_are_refused() -> None:
    from concurrent.futures import ThreadPoolExecutor

    class Threads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.relu, x).result()

    with pytest.raises(RuntimeError, match="two threads"):
        audit(Threads(), [torch.ones(1, 3)], progress=False)
