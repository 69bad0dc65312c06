"""UnitState: what it accepts, what it refuses, and how it is kept."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import UnitState, _core, reference
from neurocensus.threads import thread_count

from .parity.budget import assert_same
from .parity.test_update import exact, values_like_activations


def snapshot(state: UnitState) -> dict[str, Any]:
    return {name: np.array(value) for name, value in state.to_dict().items()}


def assert_unchanged(state: UnitState, before: dict[str, Any]) -> None:
    for name, value in state.to_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


class Foreign:
    """An array of another library: DLPack and nothing else."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()


def test_numpy_torch_and_dlpack_count_alike() -> None:
    x = values_like_activations((6, 5, 9), 0, "relu")
    wanted = reference.census(exact(x))
    grad = torch.from_numpy(x).requires_grad_()
    for array in (x, torch.from_numpy(x), grad, grad * 1, Foreign(torch.from_numpy(x))):
        assert_same(UnitState(5).update(array), wanted)
    half = torch.from_numpy(x).bfloat16()
    assert_same(UnitState(5).update(Foreign(half)), reference.census(exact(half)))
    with torch.inference_mode():
        assert_same(UnitState(5).update(torch.from_numpy(x) * 1), wanted)


def test_odd_memory() -> None:
    """Pitfall 22, and memory that no stride in whole elements describes."""
    record = np.zeros(12, np.dtype([("flag", "u1"), ("value", "<f4")]))
    record["value"] = np.arange(12)
    packed = record["value"].reshape(4, 3)
    assert_same(UnitState(3).update(packed), reference.census(packed))
    raw = np.frombuffer(b"\0" + np.arange(12, dtype=np.float32).tobytes(), np.uint8)[1:].view(np.float32)
    assert_same(UnitState(3).update(raw.reshape(4, 3)), reference.census(raw.reshape(4, 3)))
    frozen = np.ones((4, 3), np.float32)
    frozen.flags.writeable = False
    assert UnitState(3).update(frozen).values == 4
    negative = torch.view_as_complex(torch.randn(4, 3, 2)).conj().imag  # a lazy minus sign
    assert negative.is_neg()
    assert_same(UnitState(3).update(negative), reference.census(exact(negative.resolve_neg())))


def test_the_input_is_only_read() -> None:
    x = values_like_activations((6, 5, 9), 0, "holes")
    before = x.copy()
    UnitState(5).update(x)
    np.testing.assert_array_equal(x, before)


def test_no_array_is_kept_alive() -> None:
    """Pitfall 4: reduced at once, no reference kept."""
    state, tensor = UnitState(5), torch.randn(4, 5)
    alive = weakref.ref(tensor)
    state.update(tensor)
    del tensor
    gc.collect()
    assert alive() is None


def test_arrays_are_copies() -> None:
    state = UnitState(2).update(np.ones((1, 2)))
    held = state.max
    state.update(np.full((1, 2), 5.0))
    assert held.tolist() == [1, 1]
    held[:] = 9
    assert state.max.tolist() == [5, 5]


@given(sizes=st.lists(st.integers(0, 7), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_batches_of_any_size_count_as_one(sizes: list[int], seed: int) -> None:
    """Pitfall 13: a shorter last batch, a batch of one, a batch of zero."""
    x = values_like_activations((sum(sizes), 4, 6), seed, "relu")
    state, first = UnitState(4), 0
    for size in sizes:
        state.update(x[first : first + size])
        first += size
    assert_same(state, reference.census(exact(x)))
    assert state.next_example == sum(sizes)


def test_masks_leave_out_examples_and_positions() -> None:
    """Pitfall 12."""
    x = values_like_activations((5, 6, 4, 3), 1, "normal")
    rng = np.random.default_rng(0)
    for mask in (rng.random((5, 4, 3)) < 0.5, rng.random(5) < 0.5, np.zeros((5, 4, 3), bool)):
        wanted = reference.census(x, mask=mask)
        assert_same(UnitState(6).update(x, mask=mask), wanted)
        assert_same(UnitState(6).update(torch.from_numpy(x), mask=torch.from_numpy(mask)), wanted)
    strided = rng.random((5, 4, 6)) < 0.5
    assert_same(UnitState(6).update(x, mask=strided[:, :, ::2]), reference.census(x, mask=strided[:, :, ::2]))


def test_fully_masked_is_unseen_not_dead() -> None:
    state = UnitState(3).update(np.zeros((4, 3)), mask=np.zeros(4, bool))
    assert (state.examples, state.values, state.next_example) == (0, 0, 4)
    assert not state.dead.any()


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (np.ones((2, 3), np.int64), {}, TypeError, "array: expected float32.* got int64"),
    (np.ones((2, 3), complex), {}, TypeError, "got complex128"),
    (np.ones((2, 3), bool), {}, TypeError, "got bool"),
    (np.ones((2, 3), np.longdouble), {}, TypeError, "array: expected float32.* got"),
    (np.ones((2, 3), ">f4"), {}, TypeError, "native byte order"),
    (torch.ones(2, 3, dtype=torch.int8), {}, TypeError, "got int8"),
    (torch.ones(2, 3, dtype=torch.complex64), {}, TypeError, "got complex64"),
    (torch.ones(2, 3).to_sparse(), {}, TypeError, "to_dense"),
    (torch.ones(2, 3, device="meta"), {}, TypeError, "meta device"),
    ([[1.0, 2.0, 3.0]], {}, TypeError, "expected a NumPy array.* got list"),
    (None, {}, TypeError, "got NoneType"),
    (np.ones((2, 3)), {"unit_axis": 2}, ValueError, r"unit_axis: expected an axis .*\(2, 3\), got 2"),
    (np.ones((2, 3)), {"unit_axis": -3}, ValueError, "unit_axis"),
    (np.ones((2, 3)), {"example_axis": 5}, ValueError, "example_axis"),
    (np.ones((2, 3)), {"unit_axis": 0}, ValueError, "another axis than example_axis"),
    (np.ones(3), {}, ValueError, "at least an example and a unit axis"),
    (np.float32(1), {}, ValueError, "axis of an array of shape"),
    (np.ones((2, 4)), {}, ValueError, "expected 3 units on axis 1, got 4"),
    (np.ones((2, 3) + (1,) * 7), {}, ValueError, "at most 6 position axes, got 7"),
    (np.ones((2, 3)), {"mask": np.ones((2, 3), bool)}, ValueError, r"mask: expected shape \(2,\)"),
    (np.ones((2, 3, 4)), {"mask": np.ones((2, 5), bool)}, ValueError, r"got \(2, 5\)"),
    (np.ones((2, 3)), {"mask": np.ones(2)}, TypeError, "mask: expected a boolean array, got float64"),
    (np.ones((2, 3)), {"mask": "yes"}, TypeError, "mask: expected a NumPy array"),
    (np.ones((2, 3)), {"first_example": -1}, ValueError, "first_example: expected at least 0"),
    (np.ones((2, 3)), {"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("array", "options", "error", "words"), REFUSED)
def test_bad_input_is_refused_and_nothing_is_half_counted(
    array: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    state = UnitState(3, histogram=True).update(np.ones((2, 3)))
    before = snapshot(state)
    with pytest.raises(error, match=words):
        state.update(array, **options)
    assert_unchanged(state, before)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"units": 0}, ValueError, "units: expected at least 1, got 0"),
        ({"units": 2.5}, TypeError, "units: expected an integer, got float"),
        ({"units": 3, "threshold": -1}, ValueError, "threshold"),
        ({"units": 3, "threshold": np.nan}, ValueError, "threshold"),
        ({"units": 3, "threshold": np.inf}, ValueError, "threshold"),
    ],
)
def test_bad_states_are_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        UnitState(**options)


@pytest.mark.parametrize("histogram", [False, True])
def test_dicts_bring_everything_back(histogram: bool) -> None:
    state = UnitState(6, threshold=0.25, histogram=histogram)
    state.update(values_like_activations((5, 6, 4), 0, "holes"))
    again = UnitState.from_dict(state.to_dict())
    assert_unchanged(again, snapshot(state))
    assert again.threshold == 0.25
    assert (again.histogram is not None) == histogram
    for twin in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert_unchanged(twin, snapshot(state))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "format_version: expected 1, got 99"),
        ({"max": None}, "expected the entries"),
        ({"nonzero": np.zeros(2)}, "nonzero: expected int64 .* got float64"),
        ({"mean": np.zeros(3)}, r"mean: expected float64 of shape \(2,\)"),
        ({"nonzero": np.array([-1, 0])}, "impossible"),
        ({"nonzero": np.array([99, 0])}, "impossible"),
        ({"argmax": np.array([99, 0])}, "impossible"),
        ({"examples": 99}, "impossible"),
        ({"histogram": np.zeros(5, np.int64)}, "histogram: expected int64"),
    ],
)
def test_damaged_dicts_are_refused(change: dict[str, Any], words: str) -> None:
    data = UnitState(2, histogram=True).update(np.ones((3, 2))).to_dict()
    data.update(change)
    data = {name: value for name, value in data.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        UnitState.from_dict(data)


def test_threads_follow_torch_and_then_the_argument() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert thread_count() == 3
        assert thread_count(2) == 2
    finally:
        torch.set_num_threads(before)


def test_states_in_many_threads_at_once() -> None:
    """The GIL is dropped: updates of different states run side by side."""
    x = values_like_activations((8, 64, 3000), 0, "relu")
    wanted = reference.census(exact(x))
    states = [UnitState(64) for _ in range(6)]
    workers = [threading.Thread(target=state.update, args=(x,), kwargs={"threads": 2}) for state in states]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for state in states:
        assert_same(state, wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_threads_work_in_a_forked_child() -> None:
    """DataLoader workers are forks: the parent's threads are not there."""
    x = values_like_activations((8, 64, 3000), 0, "relu")
    UnitState(64).update(x, threads=2)  # the pool exists
    child = os.fork()
    if child == 0:
        try:
            same = UnitState(64).update(x, threads=2).nonzero.sum() == (x != 0).sum()
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_repr_says_what_it_holds() -> None:
    assert repr(UnitState(3).update(np.zeros((2, 3)))) == "UnitState(units=3, dead=3, examples=2, values=2)"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_a_copied_or_pickled_state_has_words_of_its_own(again: Callable[[UnitState], UnitState]) -> None:
    torch = pytest.importorskip("torch")
    state = UnitState(3, threshold=0.5, histogram=True).update(torch.randn(4, 3))
    assert int(state.words[0]) == 4
    other = again(state)
    other.update(torch.randn(4, 3))
    assert (int(other.words[0]), other.examples, state.examples, other.threshold) == (8, 8, 4, 0.5)


def test_a_tensor_without_memory_is_refused() -> None:
    pytest.importorskip("torch")
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        with pytest.raises(TypeError, match="array: expected values, got a FakeTensor, which has none"):
            UnitState(3).update(torch.randn(4, 3))


def test_the_switch_and_foreign_words_are_checked() -> None:
    torch = pytest.importorskip("torch")
    state, x = UnitState(3), np.ones((4, 3))
    for wrong, words in (
        (True, "got bool"),
        (torch.zeros(2, dtype=torch.int64), r"got torch.int64 \(2,\)"),
        (torch.zeros(1), r"got torch.float32 \(1,\)"),
    ):
        with pytest.raises(TypeError, match=f"enabled: expected a tensor of one integer, 0 or 1, {words}"):
            state.update(x, enabled=wrong)
    with pytest.raises(ValueError, match="enabled: expected it on cpu, where the state is, got meta"):
        state.update(x, enabled=torch.zeros(1, dtype=torch.int64, device="meta"))
    for foreign in (torch.zeros(33), torch.zeros(3, dtype=torch.int64)):
        with pytest.raises(
            ValueError, match=r"words: expected UnitState.words, contiguous int64 of shape \(33"
        ):
            UnitState.over(foreign, 3)
    with pytest.raises(ValueError, match="first_example: expected at least 0 and less than"):
        state.update(x, first_example=2**63 - 2)
    assert state.examples == 0


def test_the_digest_is_of_the_content() -> None:
    x = values_like_activations((5, 6, 4), 0, "holes")
    state = UnitState(6, histogram=True).update(x)
    for twin in (state.copy(), pickle.loads(pickle.dumps(state)), UnitState.from_dict(state.to_dict())):
        assert twin.digest() == state.digest()
    others = [
        UnitState(6).update(x), UnitState(6, threshold=0.5, histogram=True).update(x), state.copy().update(x),
        UnitState(6, histogram=True).update(x, first_example=1), UnitState(6), UnitState(7),
        UnitState(6, threshold=0.5),
    ]  # fmt: skip
    digests = {state.digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert all(len(digest) == 64 for digest in digests)


def test_merge_gives_back_its_state_and_takes_any_number() -> None:
    state = UnitState(3)
    assert state.merge() is state
    assert state.merge(*(UnitState(3).update(np.ones((1, 3))) for _ in range(5))).examples == 5


def test_the_core_takes_no_words_of_another_length() -> None:
    words = UnitState(3)._words
    for others, firsts in (([words[:-1]], [0]), ([words], []), ([words[::2]], [0])):
        with pytest.raises((ValueError, TypeError)):
            _core.merge(words, others, firsts, 3, False, 1)
