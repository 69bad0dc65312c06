"""What a run was of, and on: ``python -m benchmarks.gpu.facts machine|installed`` says it as JSON.

Asked in a process of its own, as torch takes device memory for good once it has been asked for a device.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SMI = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "temperature.gpu", "power.draw")
_PACKAGES = ("numpy", "torch", "torchvision", "triton", "pybind11", "pytest", "hypothesis")
SOURCES = ("src", "cpp", "cuda", "cmake", "benchmarks", "CMakeLists.txt")
_SUFFIXES = {".py", ".cpp", ".hpp", ".h", ".cu", ".cuh", ".cmake", ".txt"}


def code(root: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Commit, whether there were changes since (None: unknown), and a digest of the sources.

    Of an exported tree the environment may name the commit: COMMIT, with "-dirty" after it if it is.
    """
    found: dict[str, Any] = {"commit": "unknown", "dirty": None, "sources": digest(root)}
    named = environment.get("COMMIT", "").strip()
    if named:
        found["commit"], found["dirty"] = named.removesuffix("-dirty"), named.endswith("-dirty")
        return found
    # Exported trees often lie inside somebody else's repository.
    if not (root / ".git").exists():
        return found
    commit = _said("git", "-c", f"safe.directory={root}", "-C", str(root), "rev-parse", "HEAD")
    if commit is None:
        return found
    changes = _said("git", "-c", f"safe.directory={root}", "-C", str(root), "status", "--porcelain")
    return found | {"commit": commit, "dirty": None if changes is None else bool(changes)}


def digest(root: Path) -> str:
    """SHA-256 over names and content of everything that is built or measured with."""
    total = hashlib.sha256()
    for name in SOURCES:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix in _SUFFIXES and "results" not in path.parts:
                total.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def machine(device: str) -> dict[str, Any]:
    """The device, and what measures on it."""
    import torch

    found: dict[str, Any] = {
        "device": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "nvcc": nvcc_version(),
    }
    if device == "cuda":
        found |= _cuda_device()
    return found


def _cuda_device() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:
            return {"no_device": str(error)}
        return {"no_device": "torch finds no CUDA device"}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "processors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "cudnn": torch.backends.cudnn.version(),
        **smi(),
    }


def smi() -> dict[str, Any]:
    """Driver, clocks, temperature and power as they are now; empty where nvidia-smi says nothing."""
    said = _said("nvidia-smi", f"--query-gpu={','.join(_SMI)}", "--format=csv,noheader", "--id=0")
    if said is None:
        return {}
    values = dict(zip(_SMI, (word.strip() for word in said.splitlines()[0].split(",")), strict=False))
    return {"driver": values.pop("driver_version", "unknown"), "state": values}


def nvcc_version() -> str | None:
    said = _said(nvcc() or "nvcc", "--version")
    found = re.search(r"release [\d.]+, V([\d.]+)", said or "")
    return found[1] if found else None


def nvcc() -> str | None:
    """Where CMake will look for it."""
    if named := os.environ.get("CUDACXX"):
        return named
    folders = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    paths = [f"{folder}/bin" for folder in folders if folder]
    return shutil.which("nvcc", path=os.pathsep.join(paths)) or shutil.which("nvcc")


def installed() -> dict[str, Any]:
    """The neurocensus that is imported, and what its doctor says."""
    import neurocensus
    from neurocensus import doctor

    found: dict[str, Any] = {
        "file": neurocensus.__file__,
        "version": neurocensus.__version__,
        "doctor": [{"name": f.name, "value": f.value, "healthy": f.healthy} for f in doctor.examine()],
    }
    try:
        from neurocensus import _cuda
    except ImportError as error:
        return found | {"cuda": None, "reason": str(error)}
    count, reason = _cuda.device_count()
    return found | {
        "cuda": {
            "compiler": _cuda.compiler(),
            "architectures": _cuda.architectures(),
            "runtime_version": _cuda.runtime_version(),
            "driver_version": _cuda.driver_version(),
            "devices": count,
        },
        "reason": reason,
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    which, device = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cuda"
    # After whatever the imports may have printed, on a line of its own.
    print("\n" + json.dumps(machine(device) if which == "machine" else installed()))
