"""`UnitState.update` beside other ways to such numbers, on the same tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from benchmarks.harness.recorder import Recorder
from benchmarks.peers import published, torch_calls
from benchmarks.peers.compiled import CompiledCalls
from benchmarks.peers.counter import Counter, assert_agree
from benchmarks.peers.numpy_calls import NumpyCalls
from benchmarks.peers.observers import Histogram, PerChannelMinMax
from benchmarks.peers.torch_calls import TorchCalls
from benchmarks.workloads.buffers import FEATURE_MAPS_AND_DENSE, LAYOUTS, assert_counted, buffer
from benchmarks.workloads.sizes import THREADS, size
from neurocensus import UnitState

GROUP = "beside peers, on buffers"


@dataclass(frozen=True)
class Peer:
    """A way that is timed.

    Args:
        counter: makes a fresh one, of the axis that holds the units.
        computes: what it finds; `UnitState` finds ten statistics.
        histogram: beside an update that fills the histogram too.
        halves: also on bfloat16.
        target: of `harness.targets`, for the layouts that targets are set for.
        rounds: how often.
    """

    counter: Callable[[int], Counter]
    computes: str
    histogram: bool = False
    halves: bool = False
    target: str | None = None
    rounds: int = 5


PEERS: Mapping[str, Peer] = {
    "NumPy": Peer(NumpyCalls, NumpyCalls.computes, rounds=3),
    "torch calls": Peer(TorchCalls, TorchCalls.computes, halves=True, target="torch"),
    "torch calls, plain spelling": Peer(
        partial(TorchCalls, calls=torch_calls.plain), TorchCalls.computes, target="torch"
    ),
    "torch.compile": Peer(CompiledCalls, CompiledCalls.computes, halves=True, rounds=7),
    "torch.ao PerChannelMinMaxObserver": Peer(PerChannelMinMax, PerChannelMinMax.computes, halves=True),
    "torch.ao HistogramObserver": Peer(Histogram, Histogram.computes, histogram=True, rounds=3),
}
COMPILED_FOR = size(tuple(LAYOUTS), ("rows", "columns"))
HALVES = ("rows", "sequences")


def cases() -> Iterator[tuple[str, str, str]]:
    for layout in LAYOUTS:
        for dtype in ("float32", "bfloat16"):
            for name, peer in PEERS.items():
                if dtype == "bfloat16" and (layout not in HALVES or not peer.halves):
                    continue
                if name == "torch.compile" and layout not in COMPILED_FOR:
                    continue
                yield layout, dtype, name


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize(("layout", "dtype", "peer"), list(cases()))
def test_peer(record: Recorder, layout: str, dtype: str, peer: str) -> None:
    """Both fold batch after batch into what they know of the units; the first batch is not timed."""
    tensor, axis, other = buffer(layout, dtype), LAYOUTS[layout].unit_axis, PEERS[peer]
    state, counter = UnitState(tensor.shape[axis], histogram=other.histogram), other.counter(axis)
    turns = record.turns(
        {
            "update": lambda: state.update(tensor, axis, threads=THREADS),
            peer: lambda: counter.update(tensor),
        },
        rounds=other.rounds,
    )
    assert_counted(state, tensor, axis)
    assert_agree(counter.statistics(), state)  # both have seen the same batches
    held = layout in FEATURE_MAPS_AND_DENSE and dtype == "float32"
    record.ratio(
        f"times faster than {peer}",
        turns.ratio(peer, "update"),
        better="higher",
        target=other.target if held else None,
    )
    record.note(peer_ms=1e3 * turns.median(peer), peer_computes=other.computes)


RANGE_AND_SPECTRUM = "max of the layer; of dense layers max of each unit, of others max of each place instead"
WIDE = ("sparse_features", "many_units")
PART = size(16, 2)
"""Of the wide layouts the published loops get one unit in so many, or they would run for minutes and keep a
dictionary of gigabytes. They go through the units one by one, so their time is multiplied."""


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_loops(record: Recorder, layout: str) -> None:
    """Each from the array of activations to the list of dead units."""
    tensor, axis = buffer(layout), LAYOUTS[layout].unit_axis
    part = PART if layout in WIDE else 1
    activations = _units_last(tensor, axis)[..., : tensor.shape[axis] // part]
    states: list[UnitState] = []
    dead: list[list[int]] = []

    def ours() -> list[int]:
        states[:] = [UnitState(tensor.shape[axis]).update(tensor, axis, threads=THREADS)]
        return [int(unit) for unit in np.flatnonzero(states[0].dead)]

    peer = "published loops"
    turns = record.turns(
        {"update": ours, peer: lambda: dead.append(published.dead_units(activations))},
        rounds=3 if part == 1 else 1,
    )
    assert_counted(states[0], tensor, axis)
    found = [unit for unit in ours() if unit < activations.shape[-1]]
    assert found == sorted(dead[-1]) != []
    record.ratio(
        f"times faster than {peer}",
        turns.ratio(peer, "update").times(part),
        better="higher",
        target="published" if layout == "columns" else None,
    )
    record.note(peer_ms=1e3 * part * turns.median(peer), peer_computes="dead units")


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_range_and_spectrum(record: Recorder, layout: str) -> None:
    """Each from the array of activations to the largest of the layer and of each unit, of feature maps and
    sequences to what is published in place of the latter."""
    tensor, axis = buffer(layout), LAYOUTS[layout].unit_axis
    activations = _units_last(tensor, axis)
    states: list[UnitState] = []
    found: list[tuple[float, Any]] = []

    def ours() -> None:
        states[:] = [UnitState(tensor.shape[axis]).update(tensor, axis, threads=THREADS)]

    def theirs() -> None:
        found[:] = [(published.activation_range(activations), published.spectrum_maxima(activations))]

    peer = "published range and spectrum"
    turns = record.turns({"update": ours, peer: theirs}, rounds=3)
    assert_counted(states[0], tensor, axis)
    largest, maxima = found[0]
    assert largest == states[0].max.max()
    if tensor.dim() == 2:
        np.testing.assert_array_equal(maxima, states[0].max)
    else:
        assert maxima.max() == largest
    record.ratio(f"times faster than {peer}", turns.ratio(peer, "update"), better="higher")
    record.note(peer_ms=1e3 * turns.median(peer), peer_computes=RANGE_AND_SPECTRUM)


def _units_last(tensor: Tensor, unit_axis: int) -> published.Floats:
    """As Keras, for which the procedures were written, gives activations: the same memory, other axes."""
    array: published.Floats = tensor.movedim(unit_axis, -1).numpy()
    return array
