from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.explain.responses.state import ResponseState

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))


@given(
    hnp.arrays(np.float32, SHAPES, elements=st.sampled_from([0, -0.0, 1, -1, 0.5, np.nan, 1e-45])),
    st.permutations(range(4)),
    st.sampled_from(["max", "mean"]),
    st.data(),
)
def test_a_number_for_each_example_and_unit(array: Any, order: Any, reduce: Any, data: Any) -> None:
    """Wherever the axes are, however the examples come in parts."""
    state = ResponseState(array.shape[1], reduce)
    split = data.draw(st.integers(0, len(array)))
    for part in (array[:split], array[split:]):
        moved = torch.from_numpy(part).permute(*order)
        state.update(moved, order.index(1), example_axis=order.index(0))
    values, silent = state.arrays()
    flat = array.reshape(*array.shape[:2], -1)
    if flat.shape[2] == 0:
        assert np.isnan(values).all()
        assert not silent.any()
        return
    wanted = flat.max(axis=2) if reduce == "max" else flat.mean(axis=2, dtype=np.float64)
    assert np.allclose(values, wanted, rtol=1e-6, atol=1e-45, equal_nan=True)
    assert np.array_equal(silent, (flat == 0).all(axis=2))


def test_it_keeps_no_memory_of_the_model() -> None:
    output = torch.ones(2, 3)
    state = ResponseState(3, "max").update(output)
    output.zero_()
    assert state.arrays()[0].all()


def test_merged_copied_and_reset() -> None:
    a, b = (ResponseState(1, "max").update(torch.full((1, 1), k)) for k in (1.0, 2.0))
    c = a.copy("cpu").merge(b)
    assert c.arrays()[0].tolist() == [[1.0], [2.0]]
    assert a.arrays()[0].tolist() == [[1.0]]
    c.reset()
    assert c.update(torch.zeros(1, 1)).arrays()[1].tolist() == [[True]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_small_is_not_silent(dtype: torch.dtype) -> None:
    """Also where float32 rounds it to 0, or the mean does."""
    tiny = torch.finfo(dtype).smallest_normal
    for shape in ((1, 1), (1, 1, 9)):
        array = torch.zeros(shape, dtype=dtype)
        array.view(-1)[0] = tiny
        assert not ResponseState(1, "mean").update(array).arrays()[1].any()
