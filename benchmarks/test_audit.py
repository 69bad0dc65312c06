"""A whole audit beside the plain forward over the same batches: VGG-16's shape, 150x150, eval mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurocensus as nc
from benchmarks.buffers import THREADS
from benchmarks.conftest import Recorder
from benchmarks.networks import vgg16
from neurocensus import reference

SIZE, BATCH, BATCHES = 150, 16, 3
FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def audited(model: nn.Module, batches: list[Tensor]) -> nc.Audit:
    return nc.audit(model, batches, progress=False, threads=THREADS)


def audited_with_histogram(model: nn.Module, batches: list[Tensor]) -> nc.Audit:
    return nc.audit(model, batches, progress=False, threads=THREADS, histogram=True)


def torch_calls_in_hooks(model: nn.Module, batches: list[Tensor]) -> None:
    """What a peer does: the five statistics of `test_peers` on every activation, each call a pass."""

    def count(module: nn.Module, inputs: Any, x: Tensor) -> None:
        dims = [axis for axis in range(x.dim()) if axis != 1]
        _ = x.amax(dims), x.amin(dims), x.ne(0).sum(dims), x.sum(dims), (x * x).sum(dims)

    counted = [module for module in model.modules() if isinstance(module, (nn.ReLU, nn.MaxPool2d))]
    handles = [module.register_forward_hook(count) for module in counted]
    try:
        forward(model, batches)
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def forward(model: nn.Module, batches: list[Tensor]) -> None:
    for batch in batches:
        model(batch)


@pytest.mark.benchmark(group="audit of VGG-16")
@pytest.mark.parametrize(
    "way", [audited, audited_with_histogram, torch_calls_in_hooks], ids=lambda way: way.__name__
)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_audit(
    record: Recorder, memory_format: str, way: Callable[[nn.Module, list[Tensor]], nc.Audit | None]
) -> None:
    model = vgg16(SIZE).to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]
    images = torch.rand(BATCHES * BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    batches = list(images.contiguous(memory_format=FORMATS[memory_format]).split(BATCH))
    results: list[nc.Audit | None] = []
    pairs = record.pairs(
        lambda: results.append(way(model, batches)), lambda: forward(model, batches), rounds=5
    )
    if (audit := results[-1]) is not None:
        assert_audited(audit, model, batches)
    cost = pairs.cost
    record.note(
        forward_ms=1e3 * pairs.baseline_median, times_the_forward=cost.median, low=cost.low, high=cost.high
    )
    if way is audited:
        record.gate(f"audit, {memory_format}", cost)


def assert_audited(audit: nc.Audit, model: nn.Module, batches: list[Tensor]) -> None:
    """Compare the first four units of every layer with the definition, on activations that a hook kept."""
    kept: dict[str, list[Tensor]] = {name: [] for name in audit.layers}
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, __, x, name=name: kept[name].append(x[:, :4].clone()))
        for name in kept
    ]
    try:
        forward(model, batches)
    finally:
        for handle in handles:
            handle.remove()
    assert len(kept) == 20  # 14 activations, 5 pools, the logits
    for name, outputs in kept.items():
        wanted, state = reference.census(torch.cat(outputs).double().numpy()), audit.layers[name].state
        units = slice(len(wanted.max))
        assert state.examples == wanted.examples == BATCH * BATCHES
        for field in ("nonzero", "active_examples", "max", "min", "argmax", "dead"):
            np.testing.assert_array_equal(getattr(state, field)[units], getattr(wanted, field), f"{name} {field}")
        np.testing.assert_allclose(state.mean[units], wanted.mean, 1e-4, 1e-6, err_msg=name)
