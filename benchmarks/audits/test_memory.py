"""Peak memory of an audit and of its peers over that of the plain forward, for few examples and for many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.audits.checks import require
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.recorder import Recorder
from benchmarks.peers.on_models import PEERS
from benchmarks.workloads.peak_memory import AUDITS, ENVIRONMENT, FORWARD, LARGEST
from benchmarks.workloads.sizes import size

ROOT = Path(__file__).parents[2]
EXAMPLES = size((64, 256, 1024), (32,))
WAYS = size((FORWARD, *AUDITS, *PEERS), ("audit", "torch calls"))
TIMEOUT = 600  # seconds
MIB = 2**20


@lru_cache
def measured(way: str, examples: int) -> dict[str, int]:
    """Bytes, found by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.workloads.peak_memory", way, str(examples)]
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    numbers: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def cases() -> Iterator[Any]:
    for way in WAYS:
        for examples in EXAMPLES:
            gated = (way, examples) == ("audit", 256)
            yield pytest.param(way, examples, marks=(pytest.mark.gated,) if gated else ())


@pytest.mark.benchmark(group="memory")
@pytest.mark.parametrize(("way", "examples"), list(cases()))
def test_memory(record: Recorder, way: str, examples: int) -> None:
    """VGG-16's shape at 48x48, batches of 16. In its peak is what a way imports, traces, compiles, exports.

    "before": what was resident before the first batch, over that of the plain forward.
    """
    require(PEERS[way].packages if way in PEERS else ())
    pedantic: Any = record.benchmark.pedantic  # untyped in its package
    found = pedantic(measured, args=(way, examples), rounds=1)
    first, plain = measured(way, EXAMPLES[0]), measured(FORWARD, examples)
    over = found["peak"] - plain["peak"]
    record.note(
        peak_mib=found["peak"] / MIB,
        over_forward_mib=over / MIB,
        before_over_forward_mib=((found["before"] or 0) - (plain["before"] or 0)) / MIB,
        growth_mib=(found["peak"] - first["peak"]) / MIB,
    )
    if way not in AUDITS:
        return
    record.note(state_mib=found["state"] / MIB, largest_activation_mib=LARGEST / MIB)
    ratio = _single(found["peak"] / plain["peak"])
    record.ratio("peak memory over the plain forward's", ratio, better="lower")
    if way == "audit":
        record.target("memory over forward", _single(over / (found["state"] + LARGEST)))
        if examples == EXAMPLES[-1]:
            record.target("memory growth", _single((found["peak"] - first["peak"]) / LARGEST))


def _single(value: float) -> Ratio:
    return Ratio.of([value])
