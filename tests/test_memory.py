"""States in device memory: the Python side, over the emulator, and on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurocensus import UnitState, audit, auditor, memory
from neurocensus.native import cuda

from .backends import Backend, Cuda, Emulated, EmulatedMemory, backend_name
from .parity import budget

DEVICES = [Emulated(), pytest.param(Cuda(), marks=pytest.mark.cuda)]


@pytest.fixture(params=DEVICES, ids=backend_name)
def device(request: pytest.FixtureRequest) -> Iterator[Backend]:
    chosen: Backend = request.param
    with chosen.active():
        yield chosen


def values(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(a: UnitState, b: UnitState) -> None:
    for name, value in a.to_dict().items():
        np.testing.assert_array_equal(value, b.to_dict()[name], err_msg=name)


def test_two_runs_give_the_same_bits(device: Backend) -> None:
    x = device.put(values(0, 40, 96, 30))
    same(device.state(96, histogram=True).update(x), device.state(96, histogram=True).update(x))


def test_chunks_follow_one_another_without_being_told(device: Backend) -> None:
    state, host = device.state(5), UnitState(5)
    for seed in range(3):
        state.update(device.put(values(seed, 4, 5, 20)))
        host.update(values(seed, 4, 5, 20))
    assert state.next_example == 12
    np.testing.assert_array_equal(state.argmax, host.argmax)


def test_merge_brings_states_together_from_anywhere(device: Backend) -> None:
    a, b = values(1, 6, 5, 20), values(2, 3, 5, 20)
    whole = UnitState(5, histogram=True).update(np.concatenate([a, b]))
    here = device.state(5, histogram=True).update(device.put(a))
    there = UnitState(5, histogram=True).update(b, first_example=6)
    on_device = device.state(5, histogram=True).update(device.put(b), first_example=6)
    for merged in (
        here.copy().merge(there),
        here.copy().merge(on_device),
        here.copy("cpu").merge(on_device),
        there.copy().merge(here),
    ):
        for name in ("examples", "values", "nonzero", "max", "argmax", "histogram"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), err_msg=name)


def test_a_copy_is_its_own(device: Backend) -> None:
    state = device.state(5).update(device.put(values(0, 4, 5)))
    copy = state.copy()
    same(copy, state)
    state.update(device.put(values(1, 4, 5)))
    assert copy.examples == 4
    assert state.examples == 8
    host = state.copy("cpu")
    assert host.device == "cpu"
    same(host, state)


def test_words_are_the_memory(device: Backend) -> None:
    state = device.state(5, histogram=True)
    assert state.words is state.words
    assert state.words.dtype == torch.int64
    state.update(device.put(values(0, 4, 5)))
    assert int(state.words[0]) == 4
    state.reset()
    same(state, UnitState(5, histogram=True))


def test_enabled_is_read_where_the_counting_runs(device: Backend) -> None:
    state, x = device.state(5), device.put(values(0, 4, 5))
    enabled = torch.zeros(1, dtype=torch.int64, device=state.words.device)
    state.update(x, enabled=enabled)
    assert (state.examples, state.next_example) == (0, 0)
    enabled.fill_(1)
    state.update(x, enabled=enabled)
    assert state.examples == 4


def test_enabled_on_the_host() -> None:
    state, enabled = UnitState(5), torch.zeros(1, dtype=torch.int64)
    state.update(values(0, 4, 5), enabled=enabled)
    assert (state.examples, state.next_example) == (0, 0)
    assert state.update(values(0, 4, 5), enabled=enabled + 1).examples == 4


def test_masks_of_any_rank(device: Backend) -> None:
    x, keep = values(0, 4, 5, 6, 7), values(1, 4, 6, 7) > 0
    for mask in (keep, keep[:, 0, 0]):
        want = UnitState(5).update(x, mask=mask)
        got = device.state(5).update(device.put(x), mask=mask)
        for name in ("examples", "values", "nonzero", "active_examples", "max", "argmax"):
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)


def test_scratch_is_kept_and_grows(device: Backend) -> None:
    memory._scratch.clear()
    state = device.state(5, histogram=True)
    state.update(device.put(values(0, 400, 5, 20)))
    (kept,) = memory._scratch.values()
    state.update(device.put(values(1, 4, 5, 20)))
    assert memory._scratch == {next(iter(memory._scratch)): kept}  # the same one serves smaller calls
    state.update(device.put(values(2, 4000, 5, 20)))
    (larger,) = memory._scratch.values()
    assert larger is not kept
    assert larger.sizes[1] > kept.sizes[1]


def test_while_a_graph_is_captured_scratch_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulated().active():
        state = Emulated().state(5)
        with monkeypatch.context() as capture:
            capture.setattr(EmulatedMemory, "_capturing", lambda self: True)
            state.update(values(0, 4, 5, 20))
            with pytest.raises(RuntimeError, match="cannot be read while a CUDA graph is captured"):
                _ = state.examples
            with pytest.raises(RuntimeError, match="cannot be made while a CUDA graph is captured"):
                Emulated().state(5)
        assert not memory._scratch
        assert state.examples == 4


def test_a_compiled_call_leaves_no_scratch_behind() -> None:
    """It may be the rehearsal of a CUDA graph, in whose memory it would lie."""
    with Emulated().active():
        state, enabled = Emulated().state(5), torch.ones(1, dtype=torch.int64)
        state.update(values(0, 4, 5, 20), enabled=enabled)
        assert not memory._scratch
        state.update(values(0, 4, 5, 20))
        assert len(memory._scratch) == 1
        state.update(values(0, 4, 5, 20), enabled=enabled)
        assert state.examples == 12


def test_scratch_of_a_refused_call_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulated().active():
        state = Emulated().state(5).update(values(0, 4, 5, 20))

        def refuse(*_: Any) -> Any:
            raise RuntimeError("CUDA refused fold")

        with monkeypatch.context() as broken:
            broken.setattr(memory.cuda, "update", refuse)
            with pytest.raises(RuntimeError, match="CUDA refused fold"):
                state.update(values(0, 4, 5, 20))
        assert not memory._scratch
        assert state.update(values(0, 4, 5, 20)).examples == 8


def test_what_is_refused_leaves_the_state_as_it_was(device: Backend) -> None:
    state = device.state(5).update(device.put(values(0, 4, 5)))
    before = state.to_dict()
    for error, arguments in (
        (TypeError, {"array": values(0, 4, 5).astype(np.int32)}),
        (ValueError, {"array": values(0, 4, 6)}),
        (ValueError, {"array": values(0, 4, 5), "first_example": -1}),
        (TypeError, {"array": values(0, 4, 5), "mask": np.ones(4)}),
    ):
        with pytest.raises(error):
            state.update(device.put(arguments.pop("array")), **arguments)
    for name, value in before.items():
        np.testing.assert_array_equal(state.to_dict()[name], value, err_msg=name)


@pytest.mark.parametrize("name", ["mps", "meta", "nonsense"])
def test_devices_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match=f"device: expected .*, got {name}"):
        UnitState(3, device=name)


def test_without_a_device_the_error_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises((ValueError, ImportError), match="CUDA"):
        UnitState(3, device="cuda")


def test_the_host_is_a_device_too() -> None:
    for device in (None, "cpu", torch.device("cpu")):
        assert UnitState(3, device=device).device == "cpu"


def test_the_stand_in_of_the_cuda_module_says_what_to_do() -> None:
    from neurocensus.native import _Missing

    missing = _Missing("CUDA module", ImportError("no module"), "install a build that has it")
    with pytest.raises(ImportError, match="the CUDA module of neurocensus does not load: no module; "):
        _ = missing.update
    assert cuda is not None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_audit_by_the_kernels_is_that_by_the_core(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    """The whole way from the hooks, with kernels that are emulated."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10)
    )
    model = model.to(dtype=dtype, memory_format=layout)
    data = [torch.randn(n, 3, 16, 16).to(dtype=dtype, memory_format=layout) for n in (5, 5, 2)]
    wanted = audit(model, data, histogram=True, progress=False)
    with Emulated().active():
        monkeypatch.setattr(
            auditor, "_state_for", lambda units, device, **_: Emulated().state(units, histogram=True)
        )
        found = audit(model, data, histogram=True, progress=False)
    assert list(found.layers) == list(wanted.layers)
    for name, layer in found.layers.items():
        budget.assert_same(layer.state, wanted.layers[name].state)
