"""How the time of an audit grows: with the examples, and with the units of a layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from torch import Tensor, nn

import neurocensus as nc
from benchmarks.audits.batches import batch_by_batch
from benchmarks.audits.checks import assert_audited, forward
from benchmarks.harness.recorder import Recorder
from benchmarks.peers.counter import assert_agree
from benchmarks.peers.hooks import InHooks
from benchmarks.peers.torch_calls import TorchCalls
from benchmarks.workloads.networks import Workload, one_layer, vgg16, vgg16_layers
from benchmarks.workloads.sizes import THREADS, size

EXAMPLES = size((64, 128, 256, 512), (16, 32))
IMAGES = Workload(partial(vgg16, 32), (3, 32, 32), size(16, 8))
WAYS = ("plain forward", "audit", "audit with histogram", "torch calls")


@pytest.mark.benchmark(group="growth with examples")
@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("way", WAYS)
def test_examples(record: Recorder, way: str, examples: int) -> None:
    """VGG-16's shape at 32x32. The time of an example should be that of the shortest run, or less."""
    model, all_batches = IMAGES.model(), IMAGES.batches(examples // IMAGES.batch)
    few = all_batches[: EXAMPLES[0] // IMAGES.batch]
    results: list[Any] = []

    def run(batches: list[Tensor]) -> None:
        results.append(_way(way, model)(batches))

    turns = record.turns({way: lambda: run(all_batches), "few": lambda: run(few)}, rounds=5)
    found = results[-1]
    if isinstance(found, nc.Audit):
        assert_audited(found, model, all_batches)
    elif found is not None:
        for name, layer in nc.audit(model, all_batches, progress=False, threads=THREADS).layers.items():
            assert_agree(found[name], layer.state)
    record.note(us_per_example=1e6 * turns.median(way) / examples)
    if examples > EXAMPLES[0]:
        record.ratio(
            f"time per example, times that of {EXAMPLES[0]} examples",
            turns.ratio(way, "few").times(EXAMPLES[0] / examples),
            better="lower",
        )


def _way(way: str, model: nn.Module) -> Callable[[list[Tensor]], Any]:
    if way == "plain forward":
        return partial(forward, model)
    if way == "torch calls":
        return InHooks(model, vgg16_layers(model), TorchCalls)
    return partial(nc.audit, model, progress=False, threads=THREADS, histogram=way != "audit")


UNITS = size((9_217, 92_170, 921_700, 9_217_000), (922, 9_217))


@pytest.mark.benchmark(group="growth with units")
@pytest.mark.parametrize("units", UNITS)
def test_units(record: Recorder, units: int) -> None:
    """A later batch of 8 examples through one ReLU layer of so many units, of four inputs.

    States of many units do not fit into a cache: 80 bytes of each are read and written for 32 of activations.
    """
    workload = Workload(partial(one_layer, units), (4,), 8, units=units)
    turns, _ = batch_by_batch(record, workload, rounds=9 if units > 10**6 else 40)
    extra = turns.extra("audit", "plain forward")
    record.note(extra_ms=1e3 * extra, extra_us_per_thousand_units=1e9 * extra / units)
