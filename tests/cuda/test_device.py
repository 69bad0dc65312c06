"""What only a CUDA device can show: streams, graphs, silence, several devices. The rest: tests/parity."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurocensus import Audit, Auditor, UnitState, audit

pytestmark = pytest.mark.cuda

EXACT = ("examples", "values", "nonzero", "active_examples", "max", "min", "argmax", "nan", "inf")


class Network(nn.Module):
    """Modules and functions, in place and not, convolution and dense."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(16 * 8 * 8, 40)
        self.out = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        return self.out(F.relu(self.fc(x.flatten(1))))


def network() -> Network:
    torch.manual_seed(0)
    return Network().eval().cuda()


def batches(count: int = 4, size: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 3, 16, 16, generator=generator).cuda() for _ in range(count)]


def same(a: UnitState, b: UnitState, names: tuple[str, ...] = EXACT) -> None:
    for name in names:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def same_audits(a: Audit, b: Audit) -> None:
    assert list(a.layers) == list(b.layers)
    for name in a.layers:
        same(a.layers[name].state, b.layers[name].state)
        for moment in ("mean", "m2", "mean_abs"):
            mine, its = getattr(a.layers[name].state, moment), getattr(b.layers[name].state, moment)
            np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6, err_msg=f"{name} {moment}")


@contextmanager
def no_synchronization() -> Iterator[None]:
    """Anything that waits for the device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_an_audit_on_the_device_is_that_of_its_outputs() -> None:
    """The very outputs, taken to the host and counted there."""
    model, host = network(), {"relu": UnitState(16), "pool": UnitState(16), "out": UnitState(10)}

    def note(name: str) -> Any:
        return lambda module, args, output: host[name].update(output.detach().cpu().clone())

    hooks = [getattr(model, name).register_forward_hook(note(name)) for name in host]
    found = audit(model, batches(), progress=False)
    for hook in hooks:
        hook.remove()
    for name, state in host.items():
        same(found.layers[name].state, state)
        assert found.layers[name].state.device == "cpu"


def test_nothing_waits_before_compute() -> None:
    model, data = network(), batches()
    auditor = Auditor(model, histogram=True)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        with auditor, no_synchronization():
            for batch in data:
                model(batch)
    same_audits(auditor.compute(), audit(model, data, histogram=True, progress=False))


def test_a_mask_on_the_device_makes_nothing_wait() -> None:
    model, data = network(), batches()
    keep = torch.ones(6, dtype=torch.bool, device="cuda")
    keep[2] = False
    auditor = Auditor(model)
    auditor.mask = keep
    with torch.inference_mode(), auditor, no_synchronization():
        for batch in data:
            model(batch)
    assert auditor.compute().layers["relu"].examples == 5 * len(data)


def test_a_captured_graph_counts_at_every_replay() -> None:
    x = torch.randn(8, 5, 20, device="cuda")
    state, host = UnitState(5, histogram=True, device="cuda"), UnitState(5, histogram=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        state.update(x)
    torch.cuda.current_stream().wait_stream(side)
    state.reset()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        state.update(x)
    assert state.examples == 0  # captured, not run
    for seed in range(3):
        torch.manual_seed(seed)
        x.copy_(torch.randn(8, 5, 20))
        graph.replay()
        host.update(x.cpu())
    same(state, host)
    np.testing.assert_array_equal(state.histogram, host.histogram)
    state.update(x)  # and beside the graph
    assert state.examples == host.examples + 8


def test_two_streams() -> None:
    """Values made on a side stream, counted there, in turn with the current one."""
    state, host = UnitState(64, device="cuda"), UnitState(64)
    side, kept = torch.cuda.Stream(), []
    for step in range(20):
        stream = side if step % 2 else torch.cuda.current_stream()
        with torch.cuda.stream(stream):
            x = torch.randn(256, 64, device="cuda")
            for _ in range(5):  # so that the values come late
                x = torch.relu(x * 1.01)
            state.update(x)
            kept.append(x)
    got = state.copy("cpu")
    torch.cuda.synchronize()
    for x in kept:
        host.update(x.cpu())
    same(got, host)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("fullgraph", [True, False])
def test_compiled_with_and_without_cuda_graphs(mode: str, fullgraph: bool) -> None:
    torch._dynamo.reset()
    model, data = network(), batches(6)
    plain = Auditor(model)
    with torch.no_grad(), plain:
        for batch in data:
            model(batch)
    with torch.no_grad(), Auditor(model) as auditor:
        compiled = torch.compile(model, mode=mode, fullgraph=fullgraph)
        for batch in data:
            compiled(batch)
    assert auditor.uncompiled is None
    eager, found = plain.compute(), auditor.compute()
    assert list(found.layers) == list(eager.layers)
    for name, layer in found.layers.items():  # the compiler may round otherwise
        same(layer.state, eager.layers[name].state, ("examples", "values", "nan", "inf"))
        np.testing.assert_allclose(layer.state.max, eager.layers[name].state.max, rtol=1e-2, atol=1e-2)
    with torch.no_grad():  # detached: the compiled code, if it is still used, counts nothing
        compiled(data[0])
    assert auditor.compute().layers["relu"].examples == found.layers["relu"].examples
    torch._dynamo.reset()


def test_layers_on_different_devices() -> None:
    """Of one machine: the host and a device, or two devices where there are two."""
    first = "cuda:1" if torch.cuda.device_count() > 1 else "cpu"

    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(8, 16), nn.ReLU()).to(first)
            self.two = nn.Sequential(nn.Linear(16, 4), nn.ReLU()).to("cuda:0")

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x).to("cuda:0"))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Split()
    data = [torch.randn(10, 8, device=first) for _ in range(3)]
    found = audit(model, data, progress=False, device=None)
    assert found.layers["one.1"].examples == found.layers["two.1"].examples == 30
    outputs = torch.cat([model.one(batch) for batch in data]).detach()
    wanted = UnitState(16).update(outputs.cpu())
    same(found.layers["one.1"].state, wanted, ("examples", "values", "nonzero", "argmax"))


def test_a_model_that_moves_between_forwards() -> None:
    """State per device, merged by `compute`."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
    data = [torch.randn(10, 8) for _ in range(3)]
    with torch.no_grad(), Auditor(model) as auditor:
        model(data[0])
        model.cuda()
        model(data[1].cuda())
        model.cpu()
        model(data[2])
    layer = auditor.compute().layers["1"]
    assert layer.examples == 30
    with torch.no_grad():
        wanted = UnitState(16).update(model(torch.cat(data)))
    same(layer.state, wanted, ("examples", "values", "nonzero"))
    np.testing.assert_array_equal(layer.state.argmax, wanted.argmax)


def test_another_device_is_refused() -> None:
    state = UnitState(5, device="cuda")
    with pytest.raises(
        ValueError, match="expected a tensor on cuda:0, where the state is, got Tensor on cpu"
    ):
        state.update(torch.randn(3, 5))
    assert state.examples == 0


def test_a_device_tensor_for_a_state_on_the_host_is_copied_with_a_warning() -> None:
    x = torch.randn(3, 5, device="cuda")
    with pytest.warns(UserWarning, match="is copied to the host"):
        state = UnitState(5).update(x)
    same(state, UnitState(5).update(x.cpu()))


def test_the_current_device_and_errors_are_left_alone() -> None:
    before = torch.cuda.current_device()
    UnitState(5, device="cuda").update(torch.randn(3, 5, device="cuda"))
    assert torch.cuda.current_device() == before
    torch.cuda.synchronize()


def test_two_threads_on_one_stream() -> None:
    """They share scratch: nothing of one call may come between the kernels of another."""
    x = [torch.randn(64, 256, 49, device="cuda") for _ in range(2)]
    states = [UnitState(256, histogram=True, device="cuda") for _ in x]
    failures: list[BaseException] = []

    def count(i: int) -> None:
        try:
            for _ in range(200):
                states[i].update(x[i])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for state, values in zip(states, x, strict=True):
        once = UnitState(256, histogram=True).update(values.cpu())
        np.testing.assert_array_equal(state.nonzero, 200 * once.nonzero)
        np.testing.assert_array_equal(state.max, once.max)
        np.testing.assert_array_equal(state.histogram, 200 * once.histogram)


def test_the_first_launch_of_a_process_may_be_captured() -> None:
    """Kernels are loaded when they are first used; that must be possible inside a capture."""
    code = (
        "import torch\n"
        "from neurocensus import UnitState\n"
        "x = torch.randn(8, 16, device='cuda', dtype=torch.float16)\n"
        "state, graph = UnitState(16, device='cuda'), torch.cuda.CUDAGraph()\n"
        "with torch.cuda.graph(graph):\n"
        "    state.update(x)\n"
        "graph.replay()\n"
        "assert state.examples == 8, state\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_states_are_neither_made_nor_read_in_a_capture() -> None:
    state = UnitState(5, device="cuda").update(torch.randn(3, 5, device="cuda"))
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        with pytest.raises(RuntimeError, match="cannot be made while a CUDA graph is captured"):
            UnitState(5, device="cuda")
        with pytest.raises(RuntimeError, match="cannot be read while a CUDA graph is captured"):
            _ = state.examples
        torch.zeros(1, device="cuda")
    assert state.examples == 3
