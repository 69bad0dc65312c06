"""`Auditor`: its own life, the models it refuses, compiled ones; a loop goes on as without it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import Auditor, audit
from neurocensus.result import Audit

from .capture.models import Apply, mlp, run


def test_compute_copies_and_goes_on() -> None:
    model = mlp()
    auditor = Auditor(model)
    assert auditor.compute().examples == 0
    assert list(auditor.compute().never_fired) == ["0", "1", "3"]
    with auditor:
        model(torch.randn(2, 3))
        early = auditor.compute()
        early.layers["1"].state.update(np.full((1, 5), 1e9))
        model(torch.randn(3, 3))
    model(torch.randn(7, 3))
    late = auditor.compute()
    assert (early.layers["1"].state.examples, late.layers["1"].state.examples) == (3, 5)
    assert late.layers["1"].state.max.max() < 1e9
    assert (late.examples, late.batches, late.model) == (5, 2, "Sequential")
    with auditor:
        model(torch.randn(1, 3))
    assert auditor.compute().layers["1"].state.examples == 6


def test_reset_forgets() -> None:
    model = mlp()
    with Auditor(model) as auditor:
        model(torch.randn(2, 3))
        auditor.reset()
        assert not auditor.compute().layers
        model(torch.randn(3, 3))
    result = auditor.compute()
    assert (result.examples, result.layers["1"].state.examples) == (3, 3)
    assert not any(m._forward_hooks for m in model.modules())


def test_attaching_twice_is_an_error() -> None:
    auditor = Auditor(mlp())
    with auditor, pytest.raises(RuntimeError, match="attached already"):
        auditor.attach()
    auditor.detach()  # a second time is harmless
    auditor.attach().detach()


def test_the_auditors_own_mask() -> None:
    model = nn.Sequential(nn.ReLU())
    with Auditor(model) as auditor:
        auditor.mask = torch.tensor([True, False, True])
        model(torch.ones(3, 4, 2))
        auditor.mask = None
        model(torch.ones(3, 4, 2))
        with pytest.raises(TypeError, match="mask: expected a bool tensor"):
            auditor.mask = [True]  # type: ignore[assignment]
        with pytest.raises(TypeError, match=r"mask: .* got torch.float32; .* use mask == 0"):
            auditor.mask = torch.tensor([0.0, -torch.inf, 0.0])  # hides where it is not 0
    layer = auditor.compute().layers["0"]
    assert (layer.state.examples, layer.state.values, layer.masked) == (5, 8 + 12, True)


def test_autocast_changes_what_is_counted() -> None:
    model = mlp()
    with Auditor(model) as auditor, torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(2, 3))
    assert auditor.compute().layers["1"].dtype == "bfloat16"


def test_training_goes_on_as_without_an_auditor() -> None:
    def train(look: bool) -> tuple[list[Tensor], Audit | None]:
        torch.manual_seed(0)
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        auditor = Auditor(model)
        if look:
            auditor.attach()
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()
        auditor.detach()
        return [p.detach() for p in model.parameters()], auditor.compute() if look else None

    (plain, _), (watched, result) = train(False), train(True)
    assert all(map(torch.equal, plain, watched))
    assert result is not None
    assert all(layer.training for layer in result.layers.values())


def test_no_value_is_asked_of_a_tensor_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 25: `.item()` per layer and batch would wait for the device each time."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a value was asked of a tensor inside a forward")

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    batches = [torch.randn(2, 1, 8, 8) for _ in range(3)]
    with Auditor(model) as auditor, monkeypatch.context() as patch:
        for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
            patch.setattr(torch.Tensor, name, refuse)
        for batch in batches:
            model(batch)
    assert auditor.compute().examples == 6


# Models that cannot be.


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("model", "expected a torch.nn.Module, got str"),
        (nn.Sequential(nn.LazyLinear(3)), "'0' is a lazy module"),
    ],
)
def test_models_that_cannot_be(model: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"model: .*{words}"):
        audit(model, [torch.zeros(1, 3)], progress=False)
    with pytest.raises((TypeError, ValueError), match=f"model: .*{words}"):
        Auditor(model)


def test_torchscript_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript itself is deprecated
        scripted = torch.jit.trace(mlp().eval(), torch.zeros(1, 3))
    with pytest.raises(TypeError, match="got a TorchScript one"):
        Auditor(scripted)
    with pytest.raises(TypeError, match=r"got a TorchScript one \(its module '0'\)"):
        Auditor(nn.Sequential(scripted))


def test_dataparallel_over_several_devices_is_refused() -> None:
    """Pitfall 8: DataParallel races in hooks."""
    parallel = nn.DataParallel(mlp())
    parallel.device_ids = [0, 1]
    with pytest.raises(TypeError, match=r"nn.DataParallel .*audit its \.module"):
        Auditor(parallel)
    assert list(audit(parallel, [torch.zeros(1, 3)], progress=False).layers) == ["1", "3"]


# Compiled models.


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


def test_tensor_parallel_models_are_refused() -> None:
    """Weights that are DTensors and not FSDP's: told by the class, which needs no process group here."""

    class DTensor(torch.Tensor):
        pass

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model[0].weight = nn.Parameter(torch.zeros(4, 3).as_subclass(DTensor))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="weights of '0' are split over processes by tensor parallelism"):
        Auditor(model)
