"""Run as a process of its own: one way over so many examples, and the most memory that it took, as JSON.

``python -m benchmarks.workloads.peak_memory audit 64``. The environment is `ENVIRONMENT`: see there.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

import neurocensus as nc
from benchmarks.workloads.networks import vgg16, vgg16_layers
from benchmarks.workloads.sizes import THREADS, size

ENVIRONMENT: Final = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Blocks of 128 KiB and more, as all activations are, go back to the system when they are freed.

glibc begins so, but moves the threshold up with the blocks that it sees freed. From then on it depends on
what happens to lie between them whether the heap shrinks: the peak of the same plain forward was 322, 326 or
344 MiB from run to run. With the threshold held it is the same to 0.2 MiB: what lives at one time. Other
systems ignore these.
"""

IMAGE, BATCH = size(48, 32), 16
LARGEST: Final = BATCH * 64 * IMAGE * IMAGE * 4
"""Bytes of the largest activation of a batch."""

FORWARD: Final = "plain forward"
AUDITS: Final = {"audit": False, "audit with histogram": True}
"""With a histogram?"""

Run = Callable[[Iterable[Tensor]], Any]


def peak_bytes() -> int:
    """The most memory that this process has had resident.

    On Linux from /proc: what getrusage says begins with the peak of the process that started this one.
    """
    found = _status("VmHWM")
    if found is not None:
        return found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int | None:
    """What is resident now, where /proc says it."""
    return _status("VmRSS")


def _status(name: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def images(examples: int) -> Iterator[Tensor]:
    """Fresh batches, the same each time: a data set that is never in memory as a whole."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(examples // BATCH):
        yield torch.rand(BATCH, 3, IMAGE, IMAGE, generator=generator)


def prepared(way: str, model: nn.Sequential) -> Run:
    """A way over batches, with all that it needs imported, traced, compiled or exported."""
    if way == FORWARD:
        return lambda batches: _forward(model, batches)
    if way in AUDITS:
        return lambda batches: nc.audit(
            model, batches, progress=False, threads=THREADS, histogram=AUDITS[way]
        )
    from benchmarks.peers.on_models import PEERS

    return PEERS[way].make(model, vgg16_layers(model), next(images(BATCH)))


@torch.inference_mode()
def _forward(model: nn.Module, batches: Iterable[Tensor]) -> None:
    for batch in batches:
        model(batch)


def measured(way: str, examples: int) -> dict[str, int | None]:
    """Bytes: the peak, what was resident before the first batch, the states of an audit."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = vgg16(IMAGE).eval()
    run = prepared(way, model)
    before = resident_bytes()
    found = run(images(examples))
    peak = peak_bytes()  # before the checks, which take memory too
    state = 0
    if isinstance(found, nc.Audit):
        _check(found, model, examples)
        state = sum(layer.state.words.nbytes for layer in found.layers.values())
    elif found is not None:
        assert isinstance(found, Mapping)
        assert set(found) == set(vgg16_layers(model))
    return {"peak": peak, "before": before, "state": state}


def _check(audit: nc.Audit, model: nn.Sequential, examples: int) -> None:
    from benchmarks.audits.checks import assert_audited

    assert list(audit.layers) == list(vgg16_layers(model))
    assert audit.examples == examples
    if examples <= 4 * BATCH:  # more of them, again, would take as long as the audit
        assert_audited(audit, model, list(images(examples)))


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
