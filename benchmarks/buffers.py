"""The activations to count, and the check that they were counted right."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurocensus import UnitState, reference

THREADS = 2
SHAPES = {"rows": (32, 64, 150, 150), "columns": (1000, 9217), "channels_last": (32, 64, 150, 150)}
DEAD = 1  # index of a unit that is made dead


@lru_cache(maxsize=1)
def buffer(layout: str, dtype: str = "float32", values: str = "half-normal") -> Tensor:
    """Values as they leave a ReLU ("half-normal": half zeros, one unit dead) or a convolution ("normal")."""
    tensor = torch.randn(SHAPES[layout], generator=torch.Generator().manual_seed(0))
    if values == "half-normal":
        tensor.relu_()[:, DEAD] = 0
    if layout == "channels_last":
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor.to(getattr(torch, dtype))


def assert_counted(state: UnitState, tensor: Tensor) -> None:
    """Compare a state that was updated once or more by `tensor` with the definition.

    Statistics per unit are compared on four units, over all their values; the histogram on all values.
    """
    units = [0, DEAD, tensor.shape[1] // 2, tensor.shape[1] - 1]
    wanted = reference.census(tensor[:, units].double().numpy())
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
    counts = np.zeros(reference.HISTOGRAM_SIZE, np.int64)
    for example in tensor:
        counts += reference.histogram(example.double().numpy())
    return counts
