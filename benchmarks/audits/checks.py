"""The plain forward, and whether an audit beside it counted right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurocensus as nc
from neurocensus import LayerAudit, reference

UNITS: Final = 4
"""So many units of each layer, the first ones, are compared with the definition."""


def require(packages: Iterable[str]) -> None:
    """Skip a benchmark whose peer is not installed. Nothing is imported: torchvision needs help with that."""
    if missing := [package for package in packages if find_spec(package) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install --group bench")


@torch.inference_mode()
def forward(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """What every ratio to the plain forward is a ratio to."""
    for batch in batches:
        model(batch)


def assert_audited(audit: nc.Audit, model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Compare an audit of `batches` with the definition, on what the layers give for them again."""
    examples = sum(len(batch) for batch in batches)
    assert (audit.examples, audit.batches) == (examples, len(batches))
    with _kept(model, audit.layers.values()) as kept:
        forward(model, batches)
    for layer in audit.layers.values():
        outputs, state = kept[layer.name], layer.state
        assert len(outputs) == layer.calls == len(batches), layer.name
        wanted = reference.census(torch.cat(outputs).double().numpy(), layer.unit_axis)
        units = slice(len(wanted.max))
        assert state.examples == wanted.examples == examples, layer.name
        for field in ("nonzero", "active_examples", "max", "min", "argmax", "dead"):
            found = getattr(state, field)[units]
            np.testing.assert_array_equal(found, getattr(wanted, field), f"{layer.name} {field}")
        np.testing.assert_allclose(state.mean[units], wanted.mean, 1e-4, 1e-6, err_msg=layer.name)


def assert_goes_on(audit: nc.Audit, once: nc.Audit) -> None:
    """Has `audit` counted the batches of `once` again and again, and nothing else?"""
    times, rest = divmod(audit.batches, once.batches)
    assert times > 1
    assert rest == 0, "expected whole turns of the batches"
    assert list(audit.layers) == list(once.layers)
    for name, layer in audit.layers.items():
        found, one = layer.state, once.layers[name].state
        assert found.examples == times * one.examples
        for field in ("max", "min", "argmax", "dead"):
            np.testing.assert_array_equal(getattr(found, field), getattr(one, field), f"{name} {field}")
        np.testing.assert_array_equal(found.nonzero, times * one.nonzero, name)
        np.testing.assert_allclose(found.mean, one.mean, 1e-5, 1e-6, err_msg=name)


@contextmanager
def _kept(model: nn.Module, layers: Iterable[LayerAudit]) -> Iterator[dict[str, list[Tensor]]]:
    """The first units of what layers give, by name: "layer1.0.relu:2" is the second call of a module."""
    kept: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}
    axes = {layer.name: layer.unit_axis for layer in layers}
    modules = {name.partition(":")[0] for name in kept}
    calls = dict.fromkeys(modules, 0)

    def keep(path: str, output: Tensor) -> None:
        calls[path] += 1
        name = path if calls[path] == 1 else f"{path}:{calls[path]}"
        axis = axes[name]
        kept[name].append(output.narrow(axis, 0, min(UNITS, output.shape[axis])).clone())

    def begin(*_: Any) -> None:
        calls.update(dict.fromkeys(modules, 0))

    handles = [model.register_forward_pre_hook(begin)]
    for path in modules:
        module = model.get_submodule(path)
        handles.append(module.register_forward_hook(lambda _, __, output, path=path: keep(path, output)))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
