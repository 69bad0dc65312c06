"""An audit beside the plain forward of the same model over the same batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

import neurocensus as nc
from benchmarks.audits.batches import batch_by_batch
from benchmarks.audits.checks import assert_audited, forward, require
from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.networks import NETWORKS
from benchmarks.workloads.sizes import THREADS, size

GATED = pytest.mark.gated
IMAGES = ("VGG-16 at 150", "VGG-16 at 224", "ResNet-50 at 150", "ResNet-50 at 224")
TESTED = size(tuple(NETWORKS), tuple(name for name in NETWORKS if "224" not in name))
ONE_THREAD = size(("VGG-16 at 150", "ResNet-50 at 150", "transformer MLPs"), ())
HALVES = size(
    ("VGG-16 at 150", "ResNet-50 at 150", "transformer MLPs", "sparse auto-encoder"), ("sparse auto-encoder",)
)


def cases() -> Iterator[Any]:
    """Each network in float32 on two threads, the more common ones on one thread and in bfloat16 too."""
    for network in TESTED:
        for memory_format in ("NCHW", "channels_last") if network in IMAGES else ("contiguous",):
            marks = (GATED,) if network == "VGG-16 at 150" else ()
            yield pytest.param(network, memory_format, "float32", THREADS, marks=marks)
            if network in ONE_THREAD and memory_format != "channels_last":
                yield network, memory_format, "float32", 1
            if network in HALVES:
                yield network, memory_format, "bfloat16", THREADS


@pytest.mark.benchmark(group="audit, batch by batch")
@pytest.mark.parametrize(("network", "memory_format", "dtype", "threads"), list(cases()))
def test_batches(record: Recorder, network: str, memory_format: str, dtype: str, threads: int) -> None:
    """A forward with an Auditor attached, beside one without: what a long audit costs."""
    workload = NETWORKS[network]
    require(workload.packages)
    turns, audit = batch_by_batch(
        record, workload, memory_format=memory_format, dtype=dtype, threads=threads, rounds=9
    )
    record.note(
        forward_ms=1e3 * turns.median("plain forward"),
        extra_ms=1e3 * turns.extra("audit", "plain forward"),
        layers=len(audit.layers),
        million_values=sum(layer.values for layer in audit.layers.values()) / audit.batches / 1e6,
    )


WAYS: Mapping[str, Callable[..., nc.Audit]] = {
    "audit": partial(nc.audit, progress=False, threads=THREADS),
    "audit with histogram": partial(nc.audit, progress=False, threads=THREADS, histogram=True),
}


@pytest.mark.benchmark(group="audit, whole call")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("network", "memory_format"),
    [("VGG-16 at 150", "NCHW"), ("VGG-16 at 150", "channels_last"), ("ResNet-50 at 150", "NCHW")],
)
def test_call(record: Recorder, network: str, memory_format: str, way: str) -> None:
    """`nc.audit` of eight batches, with what it sets up and the first batch, which follows the data."""
    workload = NETWORKS[network]
    require(workload.packages)
    model, batches = workload.model(memory_format), workload.batches(size(8, 2), memory_format)
    audits: list[nc.Audit] = []
    turns = record.turns(
        {
            way: lambda: audits.append(WAYS[way](model, batches)),
            "plain forward": lambda: forward(model, batches),
        },
        rounds=7 if way == "audit" else 3,
    )
    assert_audited(audits[-1], model, batches)
    held = network == "VGG-16 at 150" and way == "audit"
    record.ratio(
        "times the plain forward",
        turns.ratio(way, "plain forward"),
        better="lower",
        target=f"audit, {memory_format}" if held else None,
    )
    record.note(forward_ms=1e3 * turns.median("plain forward"))
