"""Everything is left as it was found."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurocensus.auditor import audit

from .capture.models import assert_counts, mlp


def _no_hook(*_: Any) -> None:
    """A hook that a pickle can hold."""


class Stateful(nn.Module):
    """Uses every random state, keeps caches, hooks itself, counts its calls, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1)
        )
        self.net[1].eval()
        self.net[0].weight.requires_grad_(False)
        self.register_buffer("table", None)
        self.calls = 0
        self.cache: Tensor | None = None
        self.caches: list[Tensor] = []
        self.ready = False
        self.failure: BaseException | None = None

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        if not self.ready:  # a model that puts hooks on itself, once (Transformers does)
            self.net[0].register_forward_hook(_no_hook)
            self.ready = True
        self.caches.append(x)
        self.table = self.cache = torch.randn(2) * random.random() * np.random.rand()  # noqa: NPY002
        if self.failure is not None and self.calls > 1:
            self.net(x)
            raise self.failure
        return self.net(x)


def snapshot(model: nn.Module) -> Any:
    return (
        [{k: v for k, v in m.__dict__.items() if not k.startswith("_")} for m in model.modules()],
        [list(m.caches) for m in model.modules() if isinstance(m, Stateful)],
        [m.training for m in model.modules()],
        [(n, p.requires_grad, p.grad, p.detach().clone()) for n, p in model.named_parameters()],
        {n: b.clone() for n, b in model.named_buffers()},
        [(len(m._forward_hooks), len(m._forward_pre_hooks), list(m.__dict__)) for m in model.modules()],
        pickle.dumps(model),
        (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()),  # noqa: NPY002
        torch.overrides._get_current_function_mode_stack(),
        torch.is_inference_mode_enabled(),
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("failure", [None, RuntimeError("mine"), KeyboardInterrupt()])
def test_the_model_is_left_as_it_was_found(failure: BaseException | None) -> None:
    """Pitfall 9: also after an exception in the model and after an interrupt."""
    model = Stateful()
    model.failure = failure
    model.net(torch.randn(2, 3)).sum().backward()
    before = snapshot(model)
    data = [torch.randn(2, 3), torch.randn(2, 3)]
    before = snapshot(model)
    if failure is None:
        result = audit(model, data, progress=False)
        assert not any(layer.training for layer in result.layers.values())
    else:
        with pytest.raises(type(failure)) as caught:
            audit(model, data, progress=False)
        assert caught.value is failure
    assert all(map(same, before, snapshot(model)))
    model.train()
    model.failure = None
    model(data[0]).sum().backward()  # no tensor of inference mode is left in it


def test_an_exception_in_the_loader() -> None:
    """Pitfall 9."""

    def loader() -> Iterator[Tensor]:
        yield torch.randn(2, 3)
        raise OSError("unreadable")

    model = Stateful()
    before = snapshot(model)
    with pytest.raises(OSError, match="unreadable"):
        audit(model, loader(), progress=False)
    assert all(map(same, before, snapshot(model)))


def test_audit_runs_where_it_is_told() -> None:
    model = mlp()
    weights = [p.data_ptr() for p in model.parameters()]
    assert audit(model, [torch.randn(2, 3)], device="cpu", progress=False).examples == 2
    assert [p.data_ptr() for p in model.parameters()] == weights
    with pytest.raises(ValueError, match="meta device"):
        audit(model, [torch.randn(2, 3)], device="meta", progress=False)
    assert [p.data_ptr() for p in model.parameters()] == weights  # moved back to the very tensors


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
