"""Activations of one layer to count, and the check that they were counted right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.workloads.sizes import size
from neurocensus import UnitState, reference

DEAD: Final = 1
"""Index of a unit that is made dead."""


@dataclass(frozen=True)
class Layout:
    """How the activations of a layer lie in memory.

    Args:
        shape: lengths of the axes; axis 0 holds the examples.
        unit_axis: which axis holds the units.
        memory_format: in what order the axes lie.
        cut: what is taken off normally distributed values before the ReLU. 0 leaves one half of them, 2.326
            one in a hundred.
    """

    shape: tuple[int, ...]
    unit_axis: int = 1
    memory_format: torch.memory_format = torch.contiguous_format
    cut: float = 0.0

    @property
    def units(self) -> int:
        return self.shape[self.unit_axis]


LAYOUTS: Mapping[str, Layout] = {
    # Feature maps of 150 x 150: the first layers of VGG-16, 64 channels, a batch of 32.
    "rows": Layout(size((32, 64, 150, 150), (4, 16, 30, 30))),
    "channels_last": Layout(size((32, 64, 150, 150), (4, 16, 30, 30)), 1, torch.channels_last),
    # The largest dense network of the thesis: all its units, and its thousand test images.
    "columns": Layout(size((1000, 9217), (100, 921))),
    # The hidden layer of a transformer's MLP: 8 sequences of 512 tokens.
    "sequences": Layout(size((8, 512, 3072), (4, 32, 96)), unit_axis=2),
    # A sparse auto-encoder: 131,072 features, of which one in a hundred is active.
    "sparse_features": Layout(size((1024, 131_072), (64, 2048)), cut=2.326),
    # A thousand times the thesis's largest network. Few examples: the state is five times the activations.
    "many_units": Layout(size((4, 9_217_000), (4, 92_170))),
}
"""In full 37 to 537 MB of float32: more than the last cache of most machines holds."""

FEATURE_MAPS_AND_DENSE: Final = ("rows", "columns", "channels_last")
"""The layouts that targets are set for."""


@lru_cache(maxsize=1)
def buffer(layout: str, dtype: str = "float32", values: str = "half-normal") -> Tensor:
    """Values as they leave a ReLU ("half-normal": `Layout.cut`, one unit dead) or a convolution ("normal").

    The last one is kept: benchmarks of one buffer should follow one another.
    """
    like = LAYOUTS[layout]
    tensor = torch.randn(like.shape, generator=torch.Generator().manual_seed(0))
    if values == "half-normal":
        tensor.sub_(like.cut).relu_().select(like.unit_axis, DEAD).zero_()
    return tensor.contiguous(memory_format=like.memory_format).to(getattr(torch, dtype))


def assert_counted(state: UnitState, tensor: Tensor, unit_axis: int = 1) -> None:
    """Compare a state that was updated once or more by `tensor`, and by nothing else, with the definition.

    Statistics per unit are compared on four units, over all their values; the histogram on all values.
    """
    last = tensor.shape[unit_axis] - 1
    units = [0, min(DEAD, last), last // 2 + 1 if last > 1 else last, last]
    chosen = tensor.index_select(unit_axis, torch.tensor(units)).double().numpy()
    wanted = reference.census(chosen, unit_axis)
    times, rest = divmod(state.examples, wanted.examples)
    assert times > 0
    assert rest == 0
    assert state.values == times * wanted.values
    for name in ("nonzero", "active_examples", "nan", "inf"):
        np.testing.assert_array_equal(getattr(state, name)[units], times * getattr(wanted, name), name)
    for name in ("max", "min", "argmax", "dead"):
        np.testing.assert_array_equal(getattr(state, name)[units], getattr(wanted, name), name)
    for name in ("mean", "mean_abs"):
        found = getattr(state, name)[units]
        np.testing.assert_allclose(found, getattr(wanted, name), 1e-5, 1e-6, err_msg=name)
    np.testing.assert_allclose(state.m2[units], times * wanted.m2, 1e-5, err_msg="m2")
    if state.histogram is not None:
        np.testing.assert_array_equal(state.histogram, times * _histogram(tensor))


@lru_cache(maxsize=1)
def _histogram(tensor: Tensor) -> npt.NDArray[np.int64]:
    """The definition's, of each example; zeros, of which there are many, are counted apart."""
    counts = np.zeros(reference.HISTOGRAM_SIZE, np.int64)
    for example in tensor:
        values = example.flatten()
        nonzero = values[values != 0]
        counts += reference.histogram(nonzero.double().numpy())
        counts[reference.ZERO_BIN] += len(values) - len(nonzero)
    return counts
