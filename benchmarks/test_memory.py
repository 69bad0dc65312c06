"""Peak memory of an audit in a process of its own: the same for few examples and for many."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.conftest import Recorder
from benchmarks.peak_memory import LARGEST
from benchmarks.ratios import Ratio

ROOT = Path(__file__).parents[1]


@lru_cache
def measured(way: str, examples: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.peak_memory", way, str(examples)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    numbers: dict[str, int] = json.loads(done.stdout)
    return numbers


@pytest.mark.benchmark(group="memory")
@pytest.mark.parametrize("examples", [64, 256, 1024])
def test_memory(record: Recorder, examples: int) -> None:
    pedantic: Any = record.benchmark.pedantic  # untyped in its package
    audit = pedantic(measured, args=("audit", examples), rounds=1)
    assert audit["examples"] == examples
    first, plain = measured("audit", 64), measured("forward", 64)
    growth = (audit["peak"] - first["peak"]) / LARGEST
    above = (audit["peak"] - plain["peak"]) / (audit["state"] + LARGEST)
    record.note(
        peak_mib=audit["peak"] / 2**20,
        growth_mib=(audit["peak"] - first["peak"]) / 2**20,
        above_plain_forward_mib=(audit["peak"] - plain["peak"]) / 2**20,
        state_mib=audit["state"] / 2**20,
        largest_activation_mib=LARGEST / 2**20,
    )
    record.gate("memory over forward", Ratio(above, above, above))
    if examples == 1024:
        record.gate("memory growth", Ratio(growth, growth, growth))
