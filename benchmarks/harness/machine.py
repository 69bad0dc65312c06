"""What a run was made on and with: kept beside its figures."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import cpuinfo  # type: ignore[import-untyped]  # as pytest-benchmark does
import torch

from benchmarks.workloads import sizes
from neurocensus import _core

PACKAGES: Final = ("numpy", "torch", "torchvision", "captum", "torchlens", "onnx", "onnxruntime")
"""The package's own ground, and the peers; None where one is not installed."""


def describe() -> dict[str, Any]:
    """Memory, cores, system, compiler, instruction set, threads, and the version of each of `PACKAGES`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "memory_gib": round(memory / 2**30, 1),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "compiler": _core.compiler(),
        "instruction_set": _core.instruction_set(),
        "torch": torch.__version__,
        "threads": sizes.THREADS,
        "short": sizes.is_short(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def here() -> dict[str, Any]:
    """The `kind` of this machine, before anything is measured."""
    info = {
        "cpu": cpuinfo.get_cpu_info(),
        "machine": platform.machine(),
        "python_version": platform.python_version(),
        "neurocensus": describe(),
    }
    return kind(info)


def kind(info: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs must share for their ratios to be comparable: processor, compiled code, versions.

    Args:
        info: what pytest-benchmark keeps of a machine, with `describe` under "neurocensus".
    """
    cpu, ours = info["cpu"], info["neurocensus"]
    generation = [f"{key} {cpu[key]}" for key in ("family", "model") if cpu.get(key) is not None]
    return {
        "cpu": ", ".join([cpu.get("brand_raw") or info["machine"], *generation]),
        "cores": ours["cores"],
        "instruction_set": ours["instruction_set"],
        "threads": ours["threads"],
        "compiler": ours["compiler"],
        "torch": ours["torch"],
        "python": ".".join(info["python_version"].split(".")[:2]),
    }


def name(kind: Mapping[str, Any]) -> str:
    """A kind of machine as the name of a file, without the versions: a newer baseline replaces an older."""
    spelled = f"{kind['cpu']} {kind['cores']} cores {kind['instruction_set']}"
    return re.sub(r"[^a-z0-9]+", "-", spelled.lower()).strip("-")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
