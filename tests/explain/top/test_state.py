"""TopState equals its definition, however the data are cut, ordered, typed and laid out."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import reference
from neurocensus.explain import TopState
from neurocensus.explain.top.device import DeviceBest

from ...conftest import shared_data
from ...parity.test_update import DTYPES, KINDS, cast, exact, values_like_activations

Array = np.ndarray[Any, Any]
Where = Literal["numpy", "torch", "device"]
WHERE: tuple[Where, ...] = ("numpy", "torch", "device")


def state_on(where: Where, units: int, k: int) -> TopState:
    """A state on the host, or one that keeps tensors as on a CUDA device, here on the CPU."""
    state = TopState(units, k)
    if where == "device":
        state._best = DeviceBest(units, k, torch.device("cpu"))
    return state


def put(array: Any, where: Where) -> Any:
    return torch.as_tensor(array) if where != "numpy" and not isinstance(array, torch.Tensor) else array


def assert_same(state: TopState, wanted: tuple[Array, Array]) -> None:
    """Bit for bit: -0.0 is not 0.0."""
    for got, expected in zip((state.values, state.examples), wanted, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


@pytest.mark.parametrize("where", WHERE)
@given(
    dtype=st.sampled_from(DTYPES),
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(st.integers(0, 12), st.integers(1, 5), *[st.integers(0, 4)] * 2),
    rank=st.integers(2, 4),
    k=st.integers(1, 15),
    masked=st.sampled_from(["no", "examples", "positions"]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_it_is_its_definition(
    where: Where, dtype: str, kind: str, sizes: tuple[int, ...], rank: int, k: int, masked: str, seed: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    """Every dtype, hard values, order of axes, mask; more examples than k, and fewer."""
    cube = values_like_activations(sizes[:rank], seed, kind)
    order = data.draw(st.permutations(range(rank)))
    x = cast(np.ascontiguousarray(cube.transpose(order)), dtype)
    example, unit = order.index(0), order.index(1)
    mask = None
    if masked != "no":
        positions = [sizes[axis] for axis in order if axis > 1] if masked == "positions" else []
        mask = np.random.default_rng(seed).random((sizes[0], *positions)) < 0.6
    state = state_on(where, sizes[1], k)
    given_mask = None if mask is None else put(mask, where)
    state.update(put(x, where), unit - rank, example_axis=example, mask=given_mask, first_example=7)
    wanted = reference.top(exact(x), k, unit, example_axis=example, mask=mask, first_example=7)
    assert_same(state, wanted)
    assert state.next_example == 7 + sizes[0]
    late = state_on(where, sizes[1], k)
    late.update(np.zeros((0, sizes[1])), first_example=99)
    late.update(put(x, where), unit - rank, example_axis=example, mask=given_mask, first_example=7)
    assert_same(late, wanted)  # what comes late takes another way
    assert late.next_example == 99


parts = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(KINDS)), min_size=1, max_size=6)


@pytest.mark.parametrize("where", WHERE)
@given(parts=parts, k=st.integers(1, 12), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_any_split_in_any_order_is_the_whole(
    where: Where, parts: list[tuple[int, str]], k: int, seed: int, data: st.DataObject
) -> None:
    """Fed in order, fed in another order, and merged in that order: the same bits."""
    arrays = [values_like_activations((n, 4, 3), seed + i, kind) for i, (n, kind) in enumerate(parts)]
    starts = np.cumsum([0] + [len(array) for array in arrays])
    wanted = reference.top(np.concatenate(arrays), k)
    fed, shuffled, merged = (state_on(where, 4, k) for _ in range(3))
    for array in arrays:
        fed.update(put(array, where))
    for i in data.draw(st.permutations(range(len(arrays)))):
        chunk, first = put(arrays[i], where), int(starts[i])
        shuffled.update(chunk, first_example=first)
        merged.merge(state_on(where, 4, k).update(chunk, first_example=first))
    for state in (fed, shuffled, merged):
        assert_same(state, wanted)
        assert state.next_example == starts[-1]


@pytest.mark.parametrize("where", WHERE)
@given(kind=st.sampled_from(KINDS), k=st.integers(1, 8), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_an_example_in_parts_is_one_example(
    where: Where, kind: str, k: int, seed: int, data: st.DataObject
) -> None:
    """Positions that come apart, some of them twice: an example is never there twice."""
    x = values_like_activations((6, 4, 5), seed, kind)
    cuts = [(0, 2), (2, 5), (1, 4)]
    state, merged = state_on(where, 4, k), state_on(where, 4, k)
    for i in data.draw(st.permutations(range(3))):
        chunk = put(np.ascontiguousarray(x[:, :, slice(*cuts[i])]), where)
        state.update(chunk, first_example=2)
        merged.merge(state_on(where, 4, k).update(chunk, first_example=2))
    wanted = reference.top(x, k, first_example=2)
    assert_same(state, wanted)
    assert_same(merged, wanted)
    assert_same(state.merge(state.copy()), wanted)


@pytest.mark.parametrize("where", WHERE)
def test_of_equals_the_lowest_example_counts(where: Where) -> None:
    """And zero is a value like others: a unit of a few positive examples is filled up with zeros."""
    x = put(np.array([[0.0, 2.0], [-0.0, 1.0], [3.0, 2.0], [0.0, 2.0], [np.nan, 1.0]]), where)
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 1, 0, 3]):
        state = state_on(where, 2, 4)
        for i in order:
            state.update(x[i : i + 1], first_example=i)
        assert state.examples.tolist() == [[2, 0, 1, 3], [0, 2, 3, 1]]
        assert state.values.tolist() == [[3, 0, 0, 0], [2, 2, 2, 1]]


@pytest.mark.parametrize("where", WHERE)
def test_by_hand(where: Where) -> None:
    nan, inf = np.nan, np.inf
    x = put(np.array([[[1, 5], [inf, 2], [nan, -inf]], [[4, 7], [3, nan], [-2, -3]]]), where)
    state = state_on(where, 3, 3).update(x)
    assert state.values.tolist() == [[7, 5, -inf], [3, 2, -inf], [-2, -inf, -inf]]
    assert state.examples.tolist() == [[1, 0, -1], [1, 0, -1], [1, -1, -1]]
    assert repr(state) == "TopState(units=3, k=3, next_example=2)"


@pytest.mark.parametrize("where", WHERE)
def test_what_is_given_out_is_a_copy_and_reset_forgets(where: Where) -> None:
    state = state_on(where, 2, 2).update(put(np.ones((3, 2)), where))
    other, values = state.copy(), state.values
    values[:] = 9
    other.update(put(np.full((1, 2), 5.0), where))
    assert state.values.tolist() == [[1, 1], [1, 1]]
    assert other.values.tolist() == [[5, 1], [5, 1]]
    state.reset()
    assert (state.examples == -1).all()
    assert state.next_example == 0


@pytest.mark.parametrize("where", WHERE)
def test_the_batch_is_left_as_it_was(where: Where) -> None:
    x = put(np.array([[[1.0, np.inf]], [[np.nan, 2.0]]]), where)
    before = copy.deepcopy(x)
    state_on(where, 1, 2).update(x, mask=put(np.array([[True, False], [True, True]]), where))
    np.testing.assert_array_equal(np.asarray(x), np.asarray(before))


def test_memory_is_k_times_units_whatever_was_seen() -> None:
    state = TopState(10, 3)
    sizes = set()
    for chunk in np.random.default_rng(0).random((20, 500, 10)):
        sizes.add(len(pickle.dumps(state.update(chunk))) // 100)
    assert len(sizes) == 1
    assert_same(pickle.loads(pickle.dumps(state)), (state.values, state.examples))


def test_in_inference_mode_and_out_of_it() -> None:
    state = state_on("device", 2, 2)
    with torch.inference_mode():
        state.update(torch.tensor([[1.0, 2.0]]))
    state.update(torch.tensor([[3.0, 0.0]], requires_grad=True))
    with torch.inference_mode():
        state.update(torch.tensor([[2.0, 4.0]]))
    assert state.values.tolist() == [[3, 2], [4, 2]]


def test_a_chunk_may_come_by_dlpack() -> None:
    class Foreign:
        def __init__(self, array: Array) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()

    assert TopState(2, 1).update(Foreign(np.array([[1.0, 2.0]]))).values.tolist() == [[1], [2]]


def test_numpy_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np; from neurocensus import explain\n"
        "state = explain.TopState(2, 1).update(np.eye(2), mask=np.array([True, False]))\n"
        "assert state.copy().merge(state).examples.tolist() == [[0], [0]]\n"
        "class Net:\n    def activations(self, x): return {'a': x}\n"
        "explain.top_examples(Net(), [np.eye(2)], 1)\n"
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


X = np.ones((3, 2, 4))


@pytest.mark.parametrize(
    ("array", "options", "kind", "words"),
    [
        ([1.0], {}, TypeError, "array: expected a NumPy array, a torch tensor"),
        (
            X.astype(int),
            {},
            TypeError,
            "expected float32, float64, float16 or bfloat16 activations, got int64",
        ),
        (X, {"unit_axis": 3}, ValueError, "unit_axis: expected an axis of an array of shape"),
        (X, {"unit_axis": 0}, ValueError, "unit_axis: expected another axis than example_axis"),
        (X, {"unit_axis": 2}, ValueError, "array: expected 2 units on axis 2, got 4"),
        (X, {"mask": np.ones(3)}, TypeError, "mask: expected a boolean array, got float64; use mask != 0"),
        (X, {"mask": np.ones((3, 5), bool)}, ValueError, r"mask: expected shape \(3, 4\).*got \(3, 5\)"),
        (X, {"first_example": -1}, ValueError, "first_example: expected at least 0, got -1"),
        (X, {"first_example": 1.5}, TypeError, "first_example: expected an integer, got float"),
        (X, {"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
    ],
)
def test_wrong_chunks_are_refused_and_change_nothing(
    array: Any, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    state = TopState(2, 1)
    with pytest.raises(kind, match=words):
        state.update(array, **options)
    assert state.examples.tolist() == [[-1], [-1]]
    assert state.next_example == 0


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: TopState(0, 1), ValueError, "units: expected at least 1, got 0"),
        (lambda: TopState(1, 0), ValueError, "k: expected at least 1, got 0"),
        (lambda: TopState(1, 2.0), TypeError, "k: expected an integer, got float"),
        (lambda: TopState(1, 1, device="meta"), ValueError, "expected 'cpu' or a CUDA device, got meta"),
        (lambda: TopState(1, 1, device="toaster"), ValueError, "device: expected one that is available here"),
        (lambda: TopState(1, 1).merge({}), TypeError, "other: expected a TopState, got dict"),
        (lambda: TopState(1, 1).merge(TopState(2, 1)), ValueError, "other: expected units 1, got 2"),
        (lambda: TopState(1, 1).merge(TopState(1, 2)), ValueError, "other: expected k 1, got 2"),
    ],
)  # fmt: skip
def test_wrong_states_are_refused(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_on_real_pixels() -> None:
    """Colour channels as units: the brightest pictures of each, by another way."""
    with np.load(shared_data("catvnoncat.npz")) as archive:
        pixels = archive["x_train"].astype(np.float32)
    state = TopState(3, 5)
    for first in range(0, len(pixels), 32):
        state.update(pixels[first : first + 32], 3)
    brightest = pixels.max(axis=(1, 2))
    wanted = np.argsort(-brightest, axis=0, kind="stable")[:5].T
    np.testing.assert_array_equal(state.examples, wanted)
    np.testing.assert_array_equal(state.values, np.take_along_axis(brightest.T, wanted, 1))


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
def test_on_a_device(dtype: str) -> None:
    """Tensors there, the state there or on the host; on two streams; nothing is waited for."""
    chunks = [values_like_activations((7, 5, 6), seed, "holes") for seed in range(4)]
    on_device = [torch.as_tensor(cast(chunk, dtype)).cuda() for chunk in chunks]
    there, here = TopState(5, 6, device="cuda"), TopState(5, 6)
    assert there.device == "cuda:0"
    there.update(on_device[0])
    streams = [torch.cuda.Stream(), torch.cuda.current_stream(), torch.cuda.Stream()]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for chunk, stream in zip(on_device[1:], streams, strict=True):
            with torch.cuda.stream(stream):
                there.update(chunk)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for chunk in on_device:
        here.update(chunk)
    wanted = reference.top(np.concatenate([exact(cast(chunk, dtype)) for chunk in chunks]), 6)
    for state in (there, here, there.copy("cpu"), here.copy("cuda"), here.copy().merge(there)):
        assert_same(state, wanted)
