"""What a call costs beside its values: 64 x 512 values, from Python and inside a CUDA graph."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from benchmarks.gpu.bench import Bench, Case, Missing
from benchmarks.gpu.clock import in_turn, of
from benchmarks.gpu.kernels import warm_up
from benchmarks.harness.ratios import Ratio
from neurocensus import UnitState

SHAPE = (64, 512)
IN_GRAPH = 50  # updates in one graph


def run(bench: Bench) -> None:
    warm_up(bench)
    for dtype in (torch.float32, torch.bfloat16):
        for histogram in (False, True):
            name = f"64x512, {str(dtype).removeprefix('torch.')}{', histogram' if histogram else ''}"
            x = torch.randn(
                SHAPE, device=bench.device, generator=torch.Generator(bench.device).manual_seed(0)
            )
            x = x.to(dtype)
            eager: list[Ratio] = []
            with bench.case(name) as case:
                eager.append(call(bench, case, x, histogram))
            with bench.case(f"{name}, in a graph") as case:
                in_graph(bench, case, x, histogram, eager)
            with bench.case(f"{name}, launches") as case:
                launches(bench, case, x, histogram)


def call(bench: Bench, case: Case, x: Tensor, histogram: bool) -> Ratio:
    """From Python, one after another; beside a torch call of one kernel, and two launches of nothing much."""
    state = UnitState(SHAPE[1], histogram=histogram, device=bench.device)
    one, n = torch.zeros(1, device=bench.device), bench.sizes.small_calls

    def updates() -> None:
        for _ in range(n):
            state.update(x)

    def maxima() -> None:
        for _ in range(n):
            torch.amax(x, 0)

    def nothing() -> None:
        for _ in range(2 * n):
            one.zero_()

    through = in_turn(bench.clock.through, updates, maxima, bench.sizes.rounds)
    launches = in_turn(bench.clock.through, updates, nothing, bench.sizes.rounds)
    busy = [bench.clock.launching(updates) for _ in range(bench.sizes.rounds)]
    assert state.examples % (n * SHAPE[0]) == 0
    case.times("update", through.candidate, n)
    case.times("torch_amax", through.baseline, n)
    case.times("two_launches", launches.baseline, n)
    case.times("host", busy, n)
    # Of which the share of two launches is what no call of two kernels from Python can be without.
    case.note(times_torch_amax=through.cost, launch_share=_share(launches.baseline, launches.candidate))
    spent = of(through.candidate, 1e6 / n)
    if not histogram:
        case.gate("small call", spent)
    return spent


def _share(part: list[float], whole: list[float]) -> Ratio:
    return of([a / b for a, b in zip(part, whole, strict=True)])


def in_graph(bench: Bench, case: Case, x: Tensor, histogram: bool, eager: list[Ratio]) -> None:
    if bench.device != "cuda":
        raise Missing("calls in a CUDA graph were not measured: there is no CUDA device")
    state = UnitState(SHAPE[1], histogram=histogram, device=bench.device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        state.update(x)
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(IN_GRAPH):
            state.update(x)
    state.reset()
    replays = bench.sizes.rounds + 2
    times = [bench.clock.queued(graph.replay, ahead=1e-3) for _ in range(replays)][2:]
    assert state.examples == replays * IN_GRAPH * SHAPE[0], "replays were not counted"
    case.times("update", times, IN_GRAPH)
    if eager:
        share = of(times, 1e6 / IN_GRAPH / eager[0].median)
        case.note(times_a_call_from_python=share)
        if not histogram:
            case.gate("small call in a graph", share)


def launches(bench: Bench, case: Case, x: Tensor, histogram: bool) -> None:
    """What the profiler sees of ten updates: kernels, and the time in them."""
    if bench.device != "cuda":
        raise Missing("launches were not counted: there is no CUDA device")
    from torch.profiler import ProfilerActivity, profile

    state, n = UnitState(SHAPE[1], histogram=histogram, device=bench.device).update(x), 10
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(n):
            state.update(x)
        torch.cuda.synchronize()
    counts: Counter[str] = Counter()
    microseconds: Counter[str] = Counter()
    for event in profiler.events():
        if str(event.device_type).endswith("CUDA"):
            name = event.name.replace("(anonymous namespace)::", "").partition("(")[0]
            counts[name] += 1
            microseconds[name] += event.time_range.elapsed_us()
    if not counts:
        raise Missing("launches were not counted: torch's profiler saw none (not permitted?)")
    case.note(
        launches_per_update=sum(counts.values()) / n,
        kernel_us_per_update=sum(microseconds.values()) / n,
        kernels={
            name: {"per_update": counts[name] / n, "us": microseconds[name] / counts[name]} for name in counts
        },
    )
