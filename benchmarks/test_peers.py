"""`UnitState.update` beside other ways to the same numbers, on the same tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from torch import Tensor

from benchmarks.buffers import SHAPES, THREADS, assert_counted, buffer
from benchmarks.conftest import Recorder
from benchmarks.published import dead_neurons
from neurocensus import UnitState

Statistics = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def plain(x: Tensor, dims: list[int]) -> Statistics:
    return x.amax(dims), x.amin(dims), x.count_nonzero(dims), x.sum(dims), x.square().sum(dims)


def quickest(x: Tensor, dims: list[int]) -> Statistics:
    """The same in the quickest spelling that we found."""
    return x.amax(dims), x.amin(dims), x.ne(0).sum(dims), x.sum(dims), (x * x).sum(dims)


CALLS: Mapping[str, Callable[[Tensor, list[int]], Statistics]] = {"plain": plain, "quickest": quickest}


@pytest.mark.benchmark(group="beside torch calls")
@pytest.mark.parametrize("spelling", CALLS)
@pytest.mark.parametrize("layout", SHAPES)
def test_torch_calls(record: Recorder, layout: str, spelling: str) -> None:
    tensor, calls = buffer(layout), CALLS[spelling]
    dims = [axis for axis in range(tensor.dim()) if axis != 1]
    state = UnitState(tensor.shape[1]).update(tensor)
    once = state.copy()
    pairs = record.pairs(lambda: state.update(tensor, threads=THREADS), lambda: calls(tensor, dims), rounds=5)
    assert_counted(state, tensor)
    high, low, nonzero, total, squares = calls(tensor, dims)
    np.testing.assert_array_equal(once.max, high.numpy())
    np.testing.assert_array_equal(once.min, low.numpy())
    np.testing.assert_array_equal(once.nonzero, nonzero.numpy())
    np.testing.assert_allclose(once.mean * once.finite, total.numpy(), 1e-3)
    np.testing.assert_allclose(once.m2 + once.mean**2 * once.finite, squares.numpy(), 1e-3)
    faster = pairs.speedup
    record.note(
        peer_ms=1e3 * pairs.baseline_median, times_faster=faster.median, low=faster.low, high=faster.high
    )
    record.gate("torch", faster)


@pytest.mark.benchmark(group="beside torch.ao HistogramObserver")
@pytest.mark.parametrize("layout", SHAPES)
def test_histogram_observer(record: Recorder, layout: str) -> None:
    """The observer keeps one histogram of all values and no statistics per unit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is to move to another package
        from torch.ao.quantization.observer import HistogramObserver

        observer = HistogramObserver()
    tensor = buffer(layout)
    state = UnitState(tensor.shape[1], histogram=True).update(tensor)
    pairs = record.pairs(lambda: state.update(tensor, threads=THREADS), lambda: observer(tensor), rounds=3)
    assert_counted(state, tensor)
    assert (observer.min_val.item(), observer.max_val.item()) == (state.min.min(), state.max.max())
    faster = pairs.speedup
    record.note(
        peer_ms=1e3 * pairs.baseline_median, times_faster=faster.median, low=faster.low, high=faster.high
    )


@pytest.mark.benchmark(group="beside the published procedure")
def test_published(record: Recorder) -> None:
    """Each from the array of activations to the list of dead neurons."""
    activations = buffer("columns").numpy()
    states: list[UnitState] = []

    def dead() -> list[int]:
        states[:] = [UnitState(activations.shape[1]).update(activations, threads=THREADS)]
        return [int(unit) for unit in np.flatnonzero(states[0].dead)]

    published: list[int] = []
    pairs = record.pairs(dead, lambda: published.extend(dead_neurons(activations)), rounds=5)
    assert_counted(states[0], buffer("columns"))
    assert dead() == sorted(set(published)) != []
    faster = pairs.speedup
    record.note(
        peer_ms=1e3 * pairs.baseline_median, times_faster=faster.median, low=faster.low, high=faster.high
    )
    record.gate("published", faster)
