"""Optimizers' states as tensors, and back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from neurocensus.training import Settings
from neurocensus.training.optimizers import optimizer_for
from neurocensus.training.snapshot import _flat, _unflatten

from .samples import net, pictures


def stepped(name: Any, steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model[1].weight.requires_grad_(False)
    optimizer = optimizer_for(
        [p for p in model.parameters() if p.requires_grad], Settings(1, 0.1, optimizer=name)
    )
    for _ in range(steps):
        model(pictures(4).batch(slice(None))[0]).sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adam"])
def test_an_optimizer_comes_back(name: str, steps: int) -> None:
    _, optimizer = stepped(name, steps)
    saved = {field: tensor.contiguous() for field, tensor in _flat(optimizer).items()}
    assert bool(saved) is bool(steps)
    _, other = stepped(name, 0)
    _unflatten(other, saved)
    state, wanted = _flat(other), _flat(optimizer)
    assert state.keys() == wanted.keys()
    for field, tensor in state.items():
        assert torch.equal(tensor, wanted[field])
        assert tensor.dtype == wanted[field].dtype
        assert tensor.stride() == wanted[field].stride()  # as the weights lie in memory
        assert tensor.data_ptr() != saved[field].data_ptr()  # a file that is replaced is not kept open
    assert other.param_groups[0]["lr"] == 0.1
