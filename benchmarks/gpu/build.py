"""Builds neurocensus with CUDA into a folder, with what is installed: no pip, no network, no environment.

Plain CMake, because an interpreter may be managed by the system, read-only or without pip; the folder is put
on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from benchmarks.gpu.facts import nvcc
from benchmarks.gpu.record import FAILED, PASSED
from benchmarks.gpu.shell import Shell

LIMIT = 300


def lacking() -> list[str]:
    """What a build needs and this machine has not, a sentence each."""
    found = []
    if not _tool("cmake"):
        found.append("cmake is not installed: neurocensus cannot be built (3.22 or newer is needed)")
    if not _tool("ninja") and not shutil.which("make"):
        found.append("neither ninja nor make is installed: neurocensus cannot be built")
    if _pybind11() is None:
        found.append(
            f"pybind11 (3 or newer) is not installed for {sys.executable}: neurocensus cannot be built"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        found.append(f"{sys.executable} has no headers (Python.h): neurocensus cannot be built for it")
    if not nvcc():
        found.append("nvcc is not found (CUDACXX, CUDA_HOME, /usr/local/cuda, PATH): no CUDA module")
    return found


def build(shell: Shell, root: Path, folder: Path, architectures: str, *, cuda: bool = True) -> dict[str, Any]:
    """CMake into `folder`, the package into `folder`/site. Returns the stage's entry."""
    site = folder / "site"
    configure: list[str | Path] = [
        _tool("cmake") or "cmake", "-S", root, "-B", folder / "cmake",
        *(["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if (ninja := _tool("ninja")) else []),
        "-DCMAKE_BUILD_TYPE=Release", f"-DNEUROCENSUS_CUDA={'ON' if cuda else 'OFF'}",
        "-DNEUROCENSUS_BUILD_TESTS=OFF", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={_pybind11()}",
        *([f"-DCMAKE_CUDA_ARCHITECTURES={architectures}"] if architectures else []),
    ]  # fmt: skip
    steps: list[list[str | Path]] = [
        configure,
        [configure[0], "--build", folder / "cmake", "--parallel", str(_processors())],
        [configure[0], "--install", folder / "cmake", "--prefix", site],
    ]
    seconds = 0.0
    shutil.rmtree(site, ignore_errors=True)  # what was removed from the sources must not be imported
    for step in steps:
        done = shell.run(step, LIMIT - seconds)
        seconds += done.seconds
        if done.state != PASSED:
            return {"state": done.state, "seconds": seconds, "reason": done.reason}
    copy(root / "src" / "neurocensus", site / "neurocensus")
    modules = {path.name.partition(".")[0] for path in (site / "neurocensus").glob("*.so")}
    if absent := {"_core", *(["_cuda"] if cuda else [])} - modules:
        return {
            "state": FAILED,
            "seconds": seconds,
            "reason": f"CMake installed no {' and no '.join(absent)}",
        }
    return {"state": PASSED, "seconds": seconds, "architectures": architectures}


def copy(package: Path, place: Path) -> None:
    """The Python part of the package, without what another build has left in it."""
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(package, place, ignore=ignored, dirs_exist_ok=True)


def architecture_of(capability: str | None) -> str:
    """ "9.0" as CMake says it; empty for the project's own choice.

    Not CMake's "native", which older ones do not know and which would not say what it was.
    """
    return f"{capability.replace('.', '')}-real" if capability else ""


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tool(name: str) -> str | None:
    """A program, in PATH, beside the interpreter, or in the Python package that brings it."""
    beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    if found := shutil.which(name, path=beside):
        return found
    try:
        package = importlib.import_module(name)
    except ImportError:
        return None
    return shutil.which(
        name, path=str(getattr(package, f"{name.upper()}_BIN_DIR", getattr(package, "BIN_DIR", "")))
    )


def _pybind11() -> str | None:
    try:
        package = importlib.import_module("pybind11")
    except ImportError:
        return None
    version: tuple[Any, ...] = getattr(package, "version_info", (0,))
    return str(package.get_cmake_dir()) if version[0] >= 3 else None
