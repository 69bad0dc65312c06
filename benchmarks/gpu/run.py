"""One group of benchmarks in a process of its own, since an error on a device is the end of its process.

``python -m benchmarks.gpu.run GROUP --record RUN.json`` adds to the record what it finds, one by one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu import audits, calls, kernels
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.clock import clock_for
from benchmarks.gpu.facts import smi
from benchmarks.gpu.record import FAILED, Record
from benchmarks.gpu.sizes import sizes_for
from benchmarks.gpu.targets import NETWORKS

GROUPS: Mapping[str, Callable[[Bench], None]] = {
    "kernels": kernels.run,
    "calls": calls.run,
    **{name: partial(audits.run, name=name) for name in NETWORKS},
}


def main(group: str, path: Path, device: str) -> int:
    record = Record.load(path)
    if device == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device")
        return 1
    before = len(record.data["benchmarks"])
    GROUPS[group](Bench(record, group, device, clock_for(device), sizes_for(device)))
    if device == "cuda":  # clocks and temperature, as they are when it has just been at work
        record.data["machine"].setdefault("after", {})[group] = smi().get("state")
        record.save()
    return int(any(one["state"] == FAILED for one in record.data["benchmarks"][before:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    sys.exit(main(given.group, given.record, given.device))
