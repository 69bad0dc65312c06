"""Batch by batch through a model with an Auditor, beside the same model without: what a long audit costs."""

from __future__ import annotations

from itertools import cycle

import torch

import neurocensus as nc
from benchmarks.audits.checks import assert_audited, assert_goes_on
from benchmarks.harness.ratios import Turns
from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.networks import Workload
from benchmarks.workloads.sizes import THREADS


def batch_by_batch(
    record: Recorder,
    workload: Workload,
    *,
    rounds: int,
    memory_format: str = "contiguous",
    dtype: str = "float32",
    threads: int = THREADS,
) -> tuple[Turns, nc.Audit]:
    """Time later batches, "audit" and "plain forward"; check all that was counted. Two batches come in turn.

    The first batch, which follows the data, is not timed. The audit that is returned is of one turn.
    """
    torch.set_num_threads(threads)  # each benchmark's fixture sets it again
    observed, plain = (workload.model(memory_format, dtype) for _ in range(2))
    batches = workload.batches(2, memory_format, dtype)
    turn = cycle(batches)
    with torch.inference_mode(), nc.Auditor(observed, threads=threads) as auditor:
        for batch in batches:
            observed(batch)
        once = auditor.compute()
        turns = record.turns(
            {"audit": lambda batch: observed(batch), "plain forward": lambda: plain(batches[0])},
            prepare=lambda: (next(turn),),
            rounds=rounds,
        )
        if auditor.compute().batches % len(batches):
            observed(next(turn))
    assert_audited(once, plain, batches)
    assert_goes_on(auditor.compute(), once)
    if workload.units is not None:
        assert once.units == workload.units
    record.ratio("times the plain forward", turns.ratio("audit", "plain forward"), better="lower")
    return turns, once
