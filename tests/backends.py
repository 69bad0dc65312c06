"""What counts: the CPU core with each of its instruction sets, the CUDA core on the emulator, a CUDA device.

Tests of the one contract take `backend` and run on all of them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocensus import UnitState, _core, memory

BUILD = Path(os.environ.get("NEUROCENSUS_BUILD", Path(__file__).parents[1] / "build" / "editable"))


class Backend:
    """The CPU core with one instruction set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.small = False  # whether large arrays take too long

    @contextmanager
    def active(self) -> Iterator[None]:
        before = _core.instruction_set()
        _core.set_instruction_set(self.name)
        yield
        _core.set_instruction_set(before)

    def state(self, units: int, **options: Any) -> UnitState:
        return UnitState(units, **options)

    def put(self, array: Any) -> Any:
        """`array`, with its strides, where the state is."""
        return array


class EmulatedMemory(memory.DeviceMemory):
    """Device memory that the emulator reads: the host's."""

    def __init__(self, units: int, histogram: bool, *_: Any) -> None:
        super().__init__(units, histogram, torch.device("cpu"))
        self.device = None  # so that arrays of the host are taken, of any strides

    def _ordered(self) -> int:
        return 0

    def _capturing(self) -> bool:
        return False

    def _synchronize(self) -> None:
        pass


class Emulated(Backend):
    """The kernels of the CUDA core, compiled for the CPU: cuda/tests."""

    def __init__(self) -> None:
        super().__init__("emulated")
        self.small = True

    @contextmanager
    def active(self) -> Iterator[None]:
        before, memory.cuda = memory.cuda, emulated_module()
        memory._scratch.clear()
        yield
        memory._scratch.clear()
        memory.cuda = before

    def state(self, units: int, *, threshold: float = 0.0, histogram: bool = False) -> UnitState:
        state = UnitState._like(units, threshold, histogram, EmulatedMemory(units, histogram))
        state.reset()
        return state


class Cuda(Backend):
    """A CUDA device."""

    def __init__(self) -> None:
        super().__init__("cuda")

    @contextmanager
    def active(self) -> Iterator[None]:
        yield

    def state(self, units: int, **options: Any) -> UnitState:
        return UnitState(units, device="cuda", **options)

    def put(self, array: Any) -> torch.Tensor:
        if isinstance(array, np.ndarray):
            negative = any(stride < 0 for stride in array.strides)  # torch has no such tensors
            array = torch.from_numpy(np.ascontiguousarray(array) if negative else array)
        storage = array.untyped_storage().cuda()
        empty = torch.empty(0, dtype=array.dtype, device="cuda")
        return empty.set_(storage, array.storage_offset(), array.shape, array.stride())


def emulated_module() -> Any:
    """The emulated twin of `neurocensus._cuda`, which the C++ tests' build makes."""
    found = sorted((BUILD / "cuda" / "tests" / "emulated").glob("_cuda*.so"))
    if not found:
        pytest.skip("the emulated CUDA module was not built: make cpp-test does it")
    spec = importlib.util.spec_from_file_location("neurocensus_emulated._cuda", found[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BACKENDS = [
    *(Backend(name) for name in _core.instruction_sets()),
    Emulated(),
    pytest.param(Cuda(), marks=pytest.mark.cuda),
]


def backend_name(backend: Backend) -> str:
    return backend.name
