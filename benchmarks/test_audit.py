"""A whole audit beside the plain forward over the same batches: VGG-16's shape, 150x150, eval mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurocensus as nc
from benchmarks.buffers import THREADS
from benchmarks.conftest import Recorder
from benchmarks.networks import vgg16
from benchmarks.test_peers import quickest
from neurocensus import reference

SIZE, BATCH, BATCHES = 150, 8, 8
FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


@torch.inference_mode()
def forward(model: nn.Module, batches: list[Tensor]) -> None:
    for batch in batches:
        model(batch)


def torch_calls_in_hooks(model: nn.Module, batches: list[Tensor]) -> None:
    """What a peer does: the five statistics of `test_peers` on every activation, each call a pass."""

    def count(module: nn.Module, inputs: Any, x: Tensor) -> None:
        quickest(x, [axis for axis in range(x.dim()) if axis != 1])

    counted = [module for module in model.modules() if isinstance(module, (nn.ReLU, nn.MaxPool2d))]
    handles = [module.register_forward_hook(count) for module in counted]
    try:
        forward(model, batches)
    finally:
        for handle in handles:
            handle.remove()


Way = Callable[[nn.Module, list[Tensor]], nc.Audit | None]
WAYS: Mapping[str, Way] = {
    "audit": partial(nc.audit, progress=False, threads=THREADS),
    "audit with histogram": partial(nc.audit, progress=False, threads=THREADS, histogram=True),
    "torch calls in hooks": torch_calls_in_hooks,
}


def network(memory_format: str) -> tuple[nn.Module, list[Tensor]]:
    model = vgg16(SIZE).to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]
    images = torch.rand(BATCHES * BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=FORMATS[memory_format])
    return model, [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


@pytest.mark.benchmark(group="audit of VGG-16")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_audit(record: Recorder, memory_format: str, way: str) -> None:
    """The whole call: what it sets up and its first batch, which follows the data, are in the time."""
    model, batches = network(memory_format)
    results: list[nc.Audit | None] = []
    pairs = record.pairs(
        lambda: results.append(WAYS[way](model, batches)),
        lambda: forward(model, batches),
        rounds=7 if way == "audit" else 3,
    )
    if (audit := results[-1]) is not None:
        assert_audited(audit, model, batches)
    cost = pairs.cost
    record.note(
        forward_ms=1e3 * pairs.baseline_median, times_the_forward=cost.median, low=cost.low, high=cost.high
    )
    if way == "audit":
        record.gate(f"audit, {memory_format}", cost)


@pytest.mark.benchmark(group="audit of VGG-16, later batches")
@pytest.mark.parametrize("memory_format", FORMATS)
def test_later_batches(record: Recorder, memory_format: str) -> None:
    """Batch by batch, an Auditor's own loop beside a bare one: what a long audit costs."""
    observed, batches = network(memory_format)
    plain, _ = network(memory_format)
    with torch.inference_mode(), nc.Auditor(observed, threads=THREADS) as auditor:
        for batch in batches:
            observed(batch)
        once = auditor.compute()
        turns = cycle(batches)
        pairs = record.pairs(
            lambda batch: observed(batch),
            lambda: plain(batches[0]),
            prepare=lambda: (next(turns),),
            rounds=15,
        )
    assert_audited(once, plain, batches)
    assert auditor.compute().examples == BATCH * auditor.compute().batches > once.examples
    cost = pairs.cost
    record.note(
        forward_ms=1e3 * pairs.baseline_median, times_the_forward=cost.median, low=cost.low, high=cost.high
    )


def assert_audited(audit: nc.Audit, model: nn.Module, batches: list[Tensor]) -> None:
    """Compare the first four units of every layer with the definition, on activations that a hook kept."""
    kept: dict[str, list[Tensor]] = {name: [] for name in audit.layers}

    def keep(outputs: list[Tensor], module: nn.Module, inputs: Any, x: Tensor) -> None:
        outputs.append(x[:, :4].clone())

    handles = [
        model.get_submodule(name).register_forward_hook(partial(keep, outputs))
        for name, outputs in kept.items()
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
            found = getattr(state, field)[units]
            np.testing.assert_array_equal(found, getattr(wanted, field), f"{name} {field}")
        np.testing.assert_allclose(state.mean[units], wanted.mean, 1e-4, 1e-6, err_msg=name)
