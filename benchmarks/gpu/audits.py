"""Forwards with an Auditor beside the same without: not its first, which follows the data and is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import neurocensus as nc
from benchmarks.gpu import peers
from benchmarks.gpu.bench import Bench, Case
from benchmarks.gpu.clock import Pairs, in_turn, of, repeats
from benchmarks.gpu.kernels import warm_up
from benchmarks.gpu.networks import Network, network

LAST, NCHW = torch.channels_last, torch.contiguous_format
MOST_FORWARDS = 50


@dataclass(frozen=True)
class Way:
    name: str
    compiled: bool = False
    histogram: bool = False
    dtype: torch.dtype = torch.bfloat16
    memory_format: torch.memory_format = LAST
    gate: str | None = None


def ways(name: str) -> Iterator[Way]:
    laid = NCHW if name == "transformer" else LAST
    yield Way("eager", memory_format=laid, gate=f"{name}, eager")
    yield Way("compiled", compiled=True, memory_format=laid, gate=f"{name}, compiled")
    yield Way("eager, histogram", histogram=True, memory_format=laid)
    yield Way("eager, float32", dtype=torch.float32, memory_format=laid)
    if laid == LAST:
        yield Way("eager, NCHW", memory_format=NCHW)


def run(bench: Bench, name: str) -> None:
    warm_up(bench)
    chosen: Network | None = None
    with bench.case(f"{name}, made") as case:
        chosen = network(name, bench.sizes)
        model, _ = chosen.on(bench.device, torch.bfloat16, NCHW)
        case.note(parameters=sum(p.numel() for p in model.parameters()))
        del model
    if chosen is None:
        return
    for way in ways(name):
        with bench.case(f"audit of {name}, {way.name}") as case:
            measure(bench, case, chosen, way)
    laid = next(ways(name)).memory_format
    with bench.case(f"audit of {name}, whole call") as case:
        whole(bench, case, chosen, laid)
    with bench.case(f"{name}: torch calls in hooks") as case:
        hooked(bench, case, chosen, laid, lambda: peers.torch_calls)
    with bench.case(f"{name}: torch.ao HistogramObserver in hooks") as case:
        hooked(bench, case, chosen, laid, lambda: peers.histogram_observer(bench.device))


def measure(bench: Bench, case: Case, chosen: Network, way: Way) -> None:
    observed, x = chosen.on(bench.device, way.dtype, way.memory_format)
    plain, _ = chosen.on(bench.device, way.dtype, way.memory_format)
    with _quiet(way.compiled), nc.Auditor(observed, histogram=way.histogram) as auditor:
        watched: Callable[[Tensor], Any] = observed
        bare: Callable[[Tensor], Any] = plain
        if way.compiled:
            # Attached first: what was compiled without the hooks would go on without them.
            watched = torch.compile(observed, backend=bench.sizes.backend)
        watched(x)  # follows the data, uncompiled
        if way.compiled:
            watched(x)
            assert auditor.uncompiled is None, f"the audited model runs uncompiled: {auditor.uncompiled}"
            bare = torch.compile(plain, backend=bench.sizes.backend)
            bare(x)
        pairs, forwards = forward_pairs(
            bench, partial(watched, x), partial(bare, x), bench.sizes.audit_rounds
        )
        busy = {
            name: [bench.clock.launching(partial(way_of, x)) for _ in range(bench.sizes.audit_rounds)]
            for name, way_of in (("host_forward", bare), ("host_audited", watched))
        }
        audit = auditor.compute()
    case.times("forward", pairs.baseline, forwards)
    case.times("audited", pairs.candidate, forwards)
    for name, seconds in busy.items():  # where this is near the time of a forward, the host is what limits
        case.times(name, seconds)
    size = x.element_size() if x.is_floating_point() else way.dtype.itemsize
    read = (
        sum(layer.state.values * layer.state.units for layer in audit.layers.values()) * size // audit.batches
    )
    extra = of([(a - b) / forwards for a, b in zip(pairs.candidate, pairs.baseline, strict=True)])
    case.note(
        layers=len(audit.layers), examples=len(x), bytes=read,
        times_the_forward=pairs.cost,
        extra_us=extra.median * 1e6, gb_per_s=read / extra.median / 1e9 if extra.median > 0 else None,
    )  # fmt: skip
    # The figures are noted even where this fails; a target is met only by what counted everything.
    assert audit.examples == audit.batches * len(x) > 0, "forwards were not all counted"
    assert audit.batches > forwards * len(pairs.candidate), f"only {audit.batches} forwards were counted"
    calls = {layer.name: layer.calls for layer in audit.layers.values()}
    missed = {name: n for name, n in calls.items() if n != audit.batches}
    assert not missed, f"expected {audit.batches} calls of each layer, got {missed}"
    if way.gate:
        case.gate(way.gate, pairs.cost)


def forward_pairs(
    bench: Bench, watched: Callable[[], Any], bare: Callable[[], Any], rounds: int
) -> tuple[Pairs, int]:
    """Both in turn, so many forwards at a time; they are not waited for one by one."""
    bare()
    watched()
    forwards = repeats(bench.clock.through, bare, bench.sizes.forwards, MOST_FORWARDS)

    def times(run: Callable[[], Any]) -> Callable[[], None]:
        def loop() -> None:
            for _ in range(forwards):
                run()

        return loop

    return in_turn(bench.clock.through, times(watched), times(bare), rounds), forwards


def whole(bench: Bench, case: Case, chosen: Network, laid: torch.memory_format) -> None:
    """`nc.audit` of twenty batches, all that it sets up included."""
    model, x = chosen.on(bench.device, torch.bfloat16, laid)
    batches = [x] * (20 if bench.device == "cuda" else 2)
    audits: list[nc.Audit] = []

    def forward() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    pairs = in_turn(
        bench.clock.through,
        lambda: audits.append(nc.audit(model, batches, device=bench.device, progress=False)),
        forward,
        max(2, bench.sizes.peer_rounds),
    )
    assert audits[-1].examples == len(batches) * len(x)
    case.times("forward", pairs.baseline, len(batches))
    case.times("audited", pairs.candidate, len(batches))
    case.note(batches=len(batches), times_the_forward=pairs.cost)


def hooked(
    bench: Bench, case: Case, chosen: Network, laid: torch.memory_format, make: Callable[[], peers.Peer]
) -> None:
    """A peer on the outputs of the modules that an audit counts."""
    model, x = chosen.on(bench.device, torch.bfloat16, laid)
    plain, _ = chosen.on(bench.device, torch.bfloat16, laid)
    axes = {name.partition(":")[0]: layer.unit_axis
            for name, layer in nc.audit(model, [x], progress=False).layers.items()}  # fmt: skip
    with ExitStack() as stack, torch.inference_mode():
        hooks = 0
        for name, module in model.named_modules():
            if name in axes:
                peer, axis = make(), axes[name]
                hook = partial(_observe, peer, axis)
                stack.callback(module.register_forward_hook(hook).remove)
                hooks += 1
        assert hooks, "nothing to hook: the audit counted no module"
        pairs, forwards = forward_pairs(
            bench, partial(model, x), partial(plain, x), max(2, bench.sizes.peer_rounds)
        )
    case.times("forward", pairs.baseline, forwards)
    case.times("hooked", pairs.candidate, forwards)
    case.note(hooks=hooks, times_the_forward=pairs.cost)


def _observe(peer: peers.Peer, axis: int, module: nn.Module, inputs: Sequence[Any], x: Tensor) -> None:
    peer(x, axis)


@contextmanager
def _quiet(compiled: bool) -> Iterator[None]:
    """Without gradients; and with nothing left of what other benchmarks compiled."""
    if not compiled:
        with torch.inference_mode():
            yield
        return
    torch.compiler.reset()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.compiler.reset()
