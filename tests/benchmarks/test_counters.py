"""The peers of the benchmarks find what the census finds, batch after batch; what differs is seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from benchmarks.peers import published
from benchmarks.peers.counter import COMPARED, Counter, assert_agree
from benchmarks.peers.numpy_calls import NumpyCalls
from benchmarks.peers.observers import Histogram, PerChannelMinMax
from benchmarks.peers.torch_calls import TorchCalls, plain, quickest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurocensus import UnitState, reference

COUNTERS: dict[str, Callable[[int], Counter]] = {
    "NumPy": NumpyCalls,
    "quickest": partial(TorchCalls, calls=quickest),
    "plain": partial(TorchCalls, calls=plain),
    "PerChannelMinMax": PerChannelMinMax,
    "Histogram": Histogram,
}


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Tensor], int]:
    """Two or three batches of one layer, half of their values zero, and the axis of its units."""
    axes = draw(st.integers(2, 4))
    unit_axis = draw(st.integers(1, axes - 1))
    shape = draw(st.lists(st.integers(1, 5), min_size=axes, max_size=axes))
    memory_format = torch.channels_last if axes == 4 and draw(st.booleans()) else torch.contiguous_format
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    made = [torch.randn(shape, generator=random).relu_() for _ in range(draw(st.integers(2, 3)))]
    return [x.contiguous(memory_format=memory_format) for x in made], unit_axis


@pytest.mark.parametrize("name", COUNTERS)
@given(given_batches=batches())
def test_counters_agree_with_the_census(name: str, given_batches: tuple[list[Tensor], int]) -> None:
    xs, unit_axis = given_batches
    counter, state = COUNTERS[name](unit_axis), UnitState(xs[0].shape[unit_axis])
    for x in xs:
        counter.update(x)
        state.update(x, unit_axis)
    assert_agree(counter.statistics(), state)


@given(given_batches=batches())
def test_the_published_loops_agree_with_the_definition(given_batches: tuple[list[Tensor], int]) -> None:
    xs, unit_axis = given_batches
    array = torch.cat(xs).movedim(unit_axis, -1).numpy()
    wanted = reference.census(array, -1)
    assert sorted(published.dead_units(array)) == np.flatnonzero(wanted.dead).tolist()
    assert published.activation_range(array) == wanted.max.max()
    maxima = published.spectrum_maxima(array)
    assert maxima.max() == wanted.max.max()
    if array.ndim == 2:
        np.testing.assert_array_equal(maxima, wanted.max)


def test_what_a_half_type_gives_is_summed_wider() -> None:
    x = torch.full((1000, 3), 1.0078125, dtype=torch.bfloat16)  # one step above 1
    counter = TorchCalls()
    counter.update(x)
    assert_agree(counter.statistics(), UnitState(3).update(x))


@pytest.mark.parametrize("name", COMPARED)
def test_a_disagreement_is_seen(name: str) -> None:
    state = UnitState(2).update(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    right = np.asarray(COMPARED[name][0](state))
    assert_agree({name: right}, state)
    with pytest.raises(AssertionError, match=name):
        assert_agree({name: ~right if right.dtype == bool else right * 1.01 + 0.01}, state)


def test_a_peer_that_finds_nothing_is_seen() -> None:
    with pytest.raises(AssertionError, match="nothing"):
        assert_agree(TorchCalls().statistics(), UnitState(1))
