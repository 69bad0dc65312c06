"""`UnitState.update` of large buffers beside copies of the same buffers: shares of the copies' bandwidth.

A copy reads and writes each byte, and both count; a scan reads each byte. Buffers are gone through in turn,
so that none is still in the cache when it comes up again. The state has seen such values before, as in all
but the first batch of an audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu import peers, verify
from benchmarks.gpu.bench import Bench, Case
from benchmarks.gpu.clock import in_turn, of
from benchmarks.gpu.targets import LAYOUTS
from neurocensus import UnitState

DEAD = 1  # index of a unit that is made dead
AHEAD = 2e-3  # seconds: more than the launches of one timing take


@dataclass(frozen=True)
class Scan:
    layout: str
    dtype: str = "float32"
    values: str = "half-normal"  # as they leave a ReLU; "normal": a convolution
    histogram: bool = False
    masked: bool = False

    @property
    def name(self) -> str:
        extras = [word for word in ("histogram", "masked") if getattr(self, word)]
        return ", ".join([self.layout, self.dtype, self.values, *extras])

    @property
    def unit_axis(self) -> int:
        return 2 if self.layout == "tokens" else 1

    @property
    def gate(self) -> str | None:
        if self.layout not in LAYOUTS or self.dtype not in ("float32", "bfloat16") or self.masked:
            return None
        return f"{self.layout} with histogram" if self.histogram else self.layout


def scans() -> Iterator[Scan]:
    for layout in LAYOUTS:
        for dtype in ("float32", "bfloat16"):
            for values in ("half-normal", "normal"):
                yield Scan(layout, dtype, values)
                yield Scan(layout, dtype, values, histogram=True)
        for dtype in ("float16", "float64"):
            yield Scan(layout, dtype)
        yield Scan(layout, "bfloat16", masked=True)
    for layout in (
        "tokens",
        "odd rows",
        "odd columns",
        "few units",
        "many units",
        "large rows",
        "large columns",
    ):
        for dtype in ("float32", "bfloat16"):
            yield Scan(layout, dtype)


def buffers(bench: Bench, scan: Scan) -> list[Tensor]:
    """As many as are needed for each to have left the cache when its turn comes again."""
    one = _buffer(bench, scan, 0)
    count = max(2, -(-bench.sizes.rotation // one.nbytes))
    return [one, *(_buffer(bench, scan, seed) for seed in range(1, count))]


def _buffer(bench: Bench, scan: Scan, seed: int) -> Tensor:
    generator = torch.Generator(bench.device).manual_seed(seed)
    x = torch.randn(bench.sizes.shapes[scan.layout], generator=generator, device=bench.device)
    if scan.values == "half-normal":
        x.relu_().select(scan.unit_axis, DEAD).zero_()
    x = x.to(getattr(torch, scan.dtype))
    return x.contiguous(memory_format=torch.channels_last) if scan.layout == "channels_last" else x


def run(bench: Bench) -> None:
    warm_up(bench)
    for mebibytes in (256, 1024):
        with bench.case(f"copy of {mebibytes} MiB") as case:
            copy(bench, case, mebibytes << 20 if bench.device == "cuda" else mebibytes)
    for scan in scans():
        with bench.case(scan.name) as case:
            measure(bench, case, scan)
    for layout in LAYOUTS:
        with bench.case(f"{layout}, float32: torch calls") as case:
            beside(bench, case, Scan(layout), peers.torch_calls)
        with bench.case(f"{layout}, float32: torch.ao HistogramObserver") as case:
            beside(bench, case, Scan(layout, histogram=True), peers.histogram_observer(bench.device))


def warm_up(bench: Bench) -> None:
    """Work until the clocks have risen."""
    x, spent = torch.zeros(bench.sizes.shapes["rows"], device=bench.device), 0.0
    while spent < bench.sizes.warm_up:
        spent += bench.clock.through(lambda: [x.add_(1) for _ in range(100)])


def copy(bench: Bench, case: Case, size: int) -> None:
    """The device's own bandwidth, by size."""
    count = max(2, -(-bench.sizes.rotation // size))
    sources = [torch.randint(256, (size,), dtype=torch.uint8, device=bench.device) for _ in range(count)]
    target = torch.empty_like(sources[0])
    time_of = partial(bench.clock.queued, ahead=AHEAD)
    times = [time_of(lambda: [target.copy_(x) for x in sources]) for _ in range(bench.sizes.rounds)][2:]
    if times:
        case.times("copy", times, count)
        case.note(bytes=size, copy_gb_per_s=2 * size * count / of(times).median / 1e9)


def measure(bench: Bench, case: Case, scan: Scan) -> None:
    given = buffers(bench, scan)
    units, size = given[0].shape[scan.unit_axis], given[0].nbytes
    state = UnitState(units, histogram=scan.histogram, device=bench.device)
    mask = None
    if scan.masked:
        shape = given[0].movedim(scan.unit_axis, 1)[:, 0].shape
        mask = (
            torch.rand(shape, device=bench.device, generator=torch.Generator(bench.device).manual_seed(9))
            < 0.5
        )
    targets = [torch.empty_like(given[0]) for _ in range(2)]  # or the cache would hold some of one
    calls = given * max(1, -(-bench.sizes.fewest_calls // len(given)))
    updates = 0

    def update() -> None:
        nonlocal updates
        for x in calls:
            state.update(x, scan.unit_axis, mask=mask)
        updates += len(calls)

    def copies() -> None:
        for i, x in enumerate(calls):
            targets[i % 2].copy_(x)

    pairs = in_turn(partial(bench.clock.queued, ahead=AHEAD), update, copies, bench.sizes.rounds)
    n = len(calls)
    case.times("scan", pairs.candidate, n)
    case.times("copy", pairs.baseline, n)
    share = pairs.speedup.times(0.5)
    case.note(
        bytes=size, values=given[0].numel(), buffers=len(given), share_of_copy=share,
        scan_gb_per_s=n * size / pairs.candidate_median / 1e9,
        copy_gb_per_s=2 * n * size / pairs.baseline_median / 1e9,
    )  # fmt: skip
    targets.clear()
    # The figures are noted even where this fails; a target is met only by what counted right.
    if mask is None:
        assert state.examples == updates * given[0].shape[0], "updates that were timed were not counted"
        fresh = UnitState(units, histogram=scan.histogram, device=bench.device)
        verify.assert_counted(fresh.update(given[0], scan.unit_axis), given[0], scan.unit_axis)
    if scan.gate:
        case.gate(scan.gate, share)


def beside(bench: Bench, case: Case, scan: Scan, peer: Callable[[Tensor, int], object]) -> None:
    """Another way to such numbers, on the same buffers."""
    given = buffers(bench, scan)
    state = UnitState(given[0].shape[scan.unit_axis], histogram=scan.histogram, device=bench.device)
    pairs = in_turn(
        bench.clock.through,
        lambda: [state.update(x, scan.unit_axis) for x in given],
        lambda: [peer(x, scan.unit_axis) for x in given],
        max(bench.sizes.peer_rounds, 2),
    )
    case.times("scan", pairs.candidate, len(given))
    case.times("peer", pairs.baseline, len(given))
    case.note(bytes=given[0].nbytes, times_faster=pairs.speedup)
