"""The CUDA module as it was built: needs nvcc to have been there, but neither a GPU nor a driver."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

_cuda = pytest.importorskip("neurocensus._cuda", reason="built without the CUDA module: no nvcc was found")

DTYPES = {"0": "float32", "1": "float64", "2": "float16", "3": "bfloat16"}
VECTORS = {"float32": "4", "float64": "2", "float16": "8", "bfloat16": "8"}
ENTRY = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


def kernel_name(mangled: str) -> str:
    """As `_cuda.kernels()` has it."""
    scan = re.search(r"(scan_rows|scan_columns)ILNS_5DTypeE(\d)EL([ib])(\d)ELb(\d)E", mangled)
    if scan is None:
        return next(
            name for name in ("merge_header", "merge_units", "reset_state", "fold") if name in mangled
        )
    layout, dtype, kind, width, bins = scan.groups()
    wide = width == ("1" if kind == "b" else VECTORS[DTYPES[dtype]])
    return f"{layout}<{DTYPES[dtype]}, {'16 bytes' if wide else '1 value'}{', histogram' * (bins == '1')}>"


@pytest.fixture(scope="module")
def usage() -> dict[str, dict[str, tuple[int, int, int]]]:
    """By architecture and kernel: registers, and bytes of stack and of local memory."""
    pytest.importorskip("nvidia.cu13", reason="nvidia-cuda-cuobjdump is not installed")
    import nvidia.cu13

    tool = Path(next(iter(nvidia.cu13.__path__)), "bin", "cuobjdump")
    command = [str(tool), "-res-usage", _cuda.__file__]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, dict[str, tuple[int, int, int]]] = defaultdict(dict)
    for section in text.split("Fatbin elf code:")[1:]:
        architecture = re.search(r"arch = sm_(\w+)", section)
        assert architecture is not None
        for name, registers, stack, _, local in ENTRY.findall(section):
            found[architecture[1]][kernel_name(name)] = (int(registers), int(stack), int(local))
    return found


def test_every_kernel_is_there_for_every_architecture(
    usage: dict[str, dict[str, tuple[int, int, int]]],
) -> None:
    assert len(_cuda.kernels()) == 36
    names = [re.sub(r"\D", "", name) for name in _cuda.architectures().split(",")]
    assert usage
    if all(names):  # not "native", say
        assert sorted(usage) == sorted(names)
    for architecture, kernels in usage.items():
        assert sorted(kernels) == sorted(_cuda.kernels()), architecture


def test_no_kernel_spills_registers(usage: dict[str, dict[str, tuple[int, int, int]]]) -> None:
    for architecture, kernels in usage.items():
        for name, (registers, stack, local) in kernels.items():
            assert (stack, local) == (0, 0), f"{name} on sm_{architecture}: {stack} bytes of stack"
            # Two blocks of 256 threads on a processor's 65,536 registers.
            assert registers <= 128, f"{name} on sm_{architecture}: {registers} registers"


@pytest.mark.skipif(_cuda.architectures() == "native", reason="built for this machine's devices alone")
def test_it_carries_code_for_devices_to_come() -> None:
    assert "and newer" in _cuda.architectures()


def test_it_links_neither_the_driver_nor_a_shared_runtime() -> None:
    needed = subprocess.run(["ldd", _cuda.__file__], check=True, capture_output=True, text=True).stdout
    assert "libcuda" not in needed
    assert "libtorch" not in needed


def test_without_a_device_a_call_says_what_is_missing() -> None:
    code = (
        "from neurocensus import _cuda\n"
        "count, reason = _cuda.device_count()\n"
        "assert count == 0 and reason, (count, reason)\n"
        "try:\n"
        "    _cuda.reset(0, 1, False, 0, 0)\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    hidden = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(_cuda.__file__).parents[1])},
    )
    assert "CUDA refused" in hidden.stdout
    assert "driver" in hidden.stdout
