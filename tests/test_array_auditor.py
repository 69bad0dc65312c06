"""A census of arrays that are handed over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.array_auditor import ArrayAuditor
from neurocensus.state import UnitState


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_chunks_count_as_the_whole(sizes: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    a = np.maximum(random.standard_normal((sum(sizes), 5)), 0)
    b = random.standard_normal((sum(sizes), 3, 4)).astype(np.float32)
    auditor = ArrayAuditor(model="mine", kinds={"a": "relu"}, histogram=True)
    for rows in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]):
        auditor.update({"a": a[rows], "b": torch.tensor(b[rows])})
    audit = auditor.compute()
    assert (audit.model, audit.examples, audit.batches) == ("mine", sum(sizes), len(sizes))
    for name, array in (("a", a), ("b", b)):
        whole, state = UnitState(array.shape[1], histogram=True).update(array), audit.layers[name].state
        for field in (
            "examples",
            "values",
            "nonzero",
            "active_examples",
            "max",
            "min",
            "argmax",
            "histogram",
        ):
            np.testing.assert_array_equal(getattr(state, field), getattr(whole, field), err_msg=field)
        np.testing.assert_allclose(state.mean, whole.mean, rtol=1e-5, atol=1e-6)  # b is summed in float32
    layer = audit.layers["b"]
    assert (layer.kind, layer.dtype, layer.calls, layer.unit_axis) == ("array", "float32", len(sizes), 1)
    assert audit.layers["a"].kind == "relu"


def test_axes_by_name_and_what_was_computed_is_a_copy() -> None:
    auditor = ArrayAuditor(unit_axis={"last": -1}, example_axis={"last": 1})
    array = np.arange(24.0).reshape(3, 2, 4)
    auditor.update({"last": array})
    first = auditor.compute()
    auditor.update({"last": array})
    assert (first.examples, auditor.compute().examples) == (2, 4)
    assert (first.layers["last"].units, first.layers["last"].unit_axis) == (4, 2)
    np.testing.assert_array_equal(first.layers["last"].state.max, array.max((0, 1)))


@pytest.mark.parametrize(
    ("chunk", "kind", "message"),
    [
        ({"a": np.zeros((2, 5)), "b": np.zeros((3, 3))}, ValueError, "the same examples of all layers"),
        (
            {"a": np.zeros((2, 5)), "b": np.zeros(3)},
            ValueError,
            r"activations\['b'\]: expected an array with",
        ),
        (
            {"a": np.zeros((2, 5)), "b": [1, 2]},
            ValueError,
            r"activations\['b'\]: expected an array with .* list",
        ),
        ({"a": np.zeros((2, 5)), "b": np.zeros((2, 4))}, ValueError, r"\['b'\]: array: expected 3 units"),
        ({"a": np.zeros((2, 5)), "b": np.zeros((2, 3), int)}, TypeError, r"\['b'\]: array: expected float32"),
    ],
)
def test_of_a_chunk_that_cannot_be_counted_nothing_is(
    chunk: dict[str, Any], kind: type[Exception], message: str
) -> None:
    auditor = ArrayAuditor().update({"a": np.ones((2, 5)), "b": np.ones((2, 3))})
    with pytest.raises(kind, match=message):
        auditor.update(chunk)
    audit = auditor.compute()
    assert (audit.examples, audit.batches) == (2, 1)
    assert [layer.examples for layer in audit.layers.values()] == [2, 2]


def test_a_bad_threshold_shows_at_once() -> None:
    with pytest.raises(ValueError, match="threshold: expected a finite number"):
        ArrayAuditor(threshold=-1)


@pytest.mark.parametrize("given", [np.ones((2, 5)), [np.ones((2, 5))], None])
def test_what_is_no_mapping_is_refused(given: Any) -> None:
    auditor = ArrayAuditor()
    name = type(given).__name__
    with pytest.raises(
        TypeError, match=f"^activations: expected a mapping .*, got {name}; name the layer, as"
    ):
        auditor.update(given)
    assert auditor.compute().batches == 0
