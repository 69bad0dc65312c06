"""Does an installed neurocensus work? Run it in a clean environment, outside the checkout.

    python smoke.py SDIST

Looks at what was packaged, then counts, audits, saves, reports and asks the command line.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import neurocensus as nc

SOURCES = {"CMakeLists.txt", "cpp/CMakeLists.txt", "cpp/src/update.cpp", "cpp/tests/test_update.cpp",
           "cpp/include/neurocensus/ops.hpp", "cpp/bindings/module.cpp", "src/neurocensus/_core.pyi",
           "cmake/cuda.cmake", "cuda/CMakeLists.txt", "cuda/src/rows.cu", "cuda/tests/test_kernels.cpp",
           "LICENSE", "constraints.txt", "tests/conftest.py"}  # fmt: skip
PACKAGED = {"py.typed", "_core.pyi", "_cuda.pyi", "templates/report.html.j2", "reference.py"}
SOURCE_SUFFIXES = {".cpp", ".hpp", ".cu", ".cuh", ".txt", ".cmake", ".toml"}


def check_sdist(path: Path) -> None:
    """It holds what a build needs, and no results."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= SOURCES, f"missing from the sdist: {sorted(SOURCES - names)}"
    unwanted = [name for name in names if name.startswith(("demo/", "build/", ".venv/")) or ".so" in name]
    assert not unwanted, f"in the sdist by mistake: {unwanted}"


def check_wheel() -> None:
    """It holds types, templates and one compiled core, and no sources of it."""
    package = [path for path in files("neurocensus") or () if path.parts[0] == "neurocensus"]
    names = {path.relative_to("neurocensus").as_posix() for path in package}
    assert names >= PACKAGED, f"missing from the wheel: {sorted(PACKAGED - names)}"
    assert len([name for name in names if name.startswith("_core.") and name != "_core.pyi"]) == 1, names
    assert not [path for path in package if path.suffix in SOURCE_SUFFIXES], names
    assert "site-packages" in nc.__file__, f"not the installed package: {nc.__file__}"


def check_cuda() -> None:
    """The CUDA module is there if nvcc was, imports without a device, and says at a call what is missing."""
    if importlib.util.find_spec("neurocensus._cuda") is None:
        assert shutil.which("nvcc") is None, "there is nvcc, but no CUDA module"
        return
    from neurocensus import _cuda

    count, reason = _cuda.device_count()
    said = ""
    try:
        if count == 0:
            _cuda.reset(0, 1, False, 0, 0)
    except RuntimeError as error:
        said = str(error)
    assert reason in said, f"expected {reason!r}, got {said!r}"


def check_state() -> None:
    """The compiled core counts."""
    values = np.maximum(np.arange(-30, 30, dtype=np.float32).reshape(5, 3, 4), 0)
    values[:, 1] = 0
    state = nc.UnitState(3).update(values)
    assert state.dead.tolist() == [False, True, False], state
    assert state.max.tolist() == [21.0, 0.0, 29.0], state.max
    assert state.nonzero.sum() == np.count_nonzero(values), state.nonzero


def check_audit(folder: Path) -> None:
    """One call over a model, saved, loaded and reported."""
    import torch

    first = torch.nn.Linear(4, 6)
    with torch.no_grad():
        first.weight[0] = 0
        first.bias[0] = -1
    model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(6, 2))
    audit = nc.audit(model, [torch.randn(8, 4), torch.randn(3, 4)], progress=False)
    assert audit.examples == 11, audit
    assert 0 in audit.layers["1"].dead_units, audit
    audit.save(folder / "audit.safetensors")
    assert nc.load(folder / "audit.safetensors").nnu == audit.nnu
    audit.report(folder / "report.html")
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


def check_command_line() -> None:
    """`neurocensus doctor` finds nothing wrong."""
    command = Path(sys.executable).with_name("neurocensus")
    subprocess.run([command, "doctor"], check=True)


def main() -> None:
    """All of it; an exception where something is wrong."""
    check_sdist(Path(sys.argv[1]))
    check_wheel()
    check_state()
    check_cuda()
    with TemporaryDirectory() as folder:
        check_audit(Path(folder))
    check_command_line()
    print(f"neurocensus {nc.__version__}: sdist, wheel and installation are sound")


if __name__ == "__main__":
    main()
