"""What this installation can do, and what is wrong with it if something is. Reads, changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from ._version import __version__
from .threads import thread_count


@dataclass(frozen=True)
class Fact:
    """One line of the diagnosis."""

    name: str
    value: str
    healthy: bool = True


def examine() -> list[Fact]:
    """Look at versions, the compiled core, threads and CUDA. Never raises; a problem is a `Fact`.

    Imports torch, to ask it for its threads and for a GPU.
    """
    return [*_versions(), *_core(), *_torch(), *_extras()]


def _versions() -> Iterator[Fact]:
    yield Fact("neurocensus", f"{__version__} in {os.path.dirname(__file__)}")
    yield Fact("python", f"{platform.python_version()} on {platform.platform()}")
    yield Fact("numpy", _version("numpy") or "not installed")


def _core() -> Iterator[Fact]:
    try:
        from . import _core as core
    except ImportError as error:
        yield Fact("compiled core", f"does not load: {error}; reinstall neurocensus", healthy=False)
        return
    yield Fact("compiled core", f"present, built by {core.compiler()}")
    wanted = os.environ.get("NEUROCENSUS_SIMD")
    try:
        yield Fact("instruction set", core.instruction_set() + ("" if wanted else ", chosen by itself"))
        yield Fact("self-test", *_self_test())
    except ValueError as error:  # NEUROCENSUS_SIMD names what this CPU cannot run
        yield Fact("instruction set", str(error), healthy=False)
    yield Fact("this CPU can run", ", ".join(core.instruction_sets()))
    yield Fact("NEUROCENSUS_SIMD", wanted or "not set")


def _self_test() -> tuple[str, bool]:
    """Count a few values with the compiled core and by the definition."""
    import numpy as np

    from .reference import census
    from .state import UnitState

    values = np.arange(-60, 60, dtype=np.float32).reshape(4, 3, 10)
    values[:, 1] = 0
    state, wanted = UnitState(3).update(values), census(values)
    same = all(
        np.array_equal(getattr(state, name), getattr(wanted, name))
        for name in ("nonzero", "active_examples", "max", "min", "argmax", "dead")
    )
    return ("counts as defined", True) if same else ("counts differ from the definition; reinstall", False)


def _torch() -> Iterator[Fact]:
    try:
        import torch
    except ImportError as error:
        yield Fact("torch", f"does not load: {error}; reinstall it", healthy=False)
        return
    yield Fact("torch", torch.__version__)
    yield Fact("threads", f"{thread_count()}, as torch is set")
    yield Fact("CUDA", "no: this version has no CUDA module yet; activations are counted on the CPU")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        seen = f"yes: {names}; a model may run there, its activations are copied to the host"
    elif torch.version.cuda is None:
        seen = "no: this torch is built without CUDA"
    else:
        seen = f"no: torch is built for CUDA {torch.version.cuda}, but finds no usable GPU or driver"
    yield Fact("GPU seen by torch", seen)


def _extras() -> Iterator[Fact]:
    for package, use, extra in (("scikit-learn", "demo", "demo"), ("pandas", "to_pandas", "pandas")):
        missing = f"not installed: {use} needs it; pip install 'neurocensus[{extra}]'"
        yield Fact(package, _version(package) or missing)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
