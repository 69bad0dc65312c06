"""Run as a process of its own: audit so many examples, print the peak memory as JSON.

``python -m benchmarks.peak_memory audit 64``; ``forward`` instead of ``audit`` runs the model alone.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

import neurocensus as nc
from benchmarks.buffers import THREADS
from benchmarks.networks import vgg16

SIZE, BATCH = 48, 16
LARGEST = BATCH * 64 * SIZE * SIZE * 4  # bytes of the largest activation of a batch


def peak_bytes() -> int:
    """The most memory that this process has had resident.

    On Linux from /proc: what getrusage says begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def images(examples: int) -> Iterator[Tensor]:
    """Fresh batches: a data set that is never in memory as a whole."""
    for _ in range(examples // BATCH):
        yield torch.rand(BATCH, 3, SIZE, SIZE)


def main(way: str, examples: int) -> None:
    torch.set_num_threads(THREADS)
    model = vgg16(SIZE)
    state, audited = 0, 0
    if way == "audit":
        audit = nc.audit(model, images(examples), progress=False, threads=THREADS)
        state = sum(array.nbytes for layer in audit.layers.values() for array in _arrays(layer.state))
        audited = audit.examples
    else:
        with torch.inference_mode():
            for batch in images(examples):
                model(batch)
    print(json.dumps({"peak": peak_bytes(), "state": state, "examples": audited}))


def _arrays(state: nc.UnitState) -> list[Tensor]:
    return [value for value in state.to_dict().values() if hasattr(value, "nbytes")]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
