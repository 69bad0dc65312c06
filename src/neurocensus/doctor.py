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
    return [*_versions(), *_core(), *_torch(), *_cuda(), *_extras()]


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
        same, words = _self_test()
        yield Fact("self-test", words, healthy=same)
    except ValueError as error:  # NEUROCENSUS_SIMD names what this CPU cannot run
        yield Fact("instruction set", str(error), healthy=False)
    yield Fact("this CPU can run", ", ".join(core.instruction_sets()))
    yield Fact("NEUROCENSUS_SIMD", wanted or "not set")


def _self_test(device: str = "cpu") -> tuple[bool, str]:
    """Whether a few values are counted as by the definition, and what to say of it."""
    import numpy as np

    from .reference import census
    from .state import UnitState

    values = np.arange(-60, 60, dtype=np.float32).reshape(4, 3, 10)
    values[:, 1] = 0
    wanted = census(values)
    if device == "cpu":
        state = UnitState(3).update(values)
    else:
        import torch

        state = UnitState(3, device=device).update(torch.from_numpy(values).to(device))
    same = all(
        np.array_equal(getattr(state, name), getattr(wanted, name))
        for name in ("nonzero", "active_examples", "max", "min", "argmax", "dead")
    )
    return same, "counts as defined" if same else "counts differ from the definition; reinstall"


def _torch() -> Iterator[Fact]:
    try:
        import torch
    except ImportError as error:
        yield Fact("torch", f"does not load: {error}; reinstall it", healthy=False)
        return
    yield Fact("torch", torch.__version__)
    yield Fact("threads", f"{thread_count()}, as torch is set")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        seen = f"yes: {names}"
    elif torch.version.cuda is None:
        seen = "no: this torch is built without CUDA"
    else:
        seen = f"no: torch is built for CUDA {torch.version.cuda}, but finds no usable GPU or driver"
    yield Fact("GPU seen by torch", seen)


def _cuda() -> Iterator[Fact]:
    try:
        from . import _cuda as cuda
    except ImportError as error:
        missing = "built without it" if isinstance(error, ModuleNotFoundError) else str(error)
        yield Fact("CUDA module", f"no: {missing}; activations of a model on a GPU are copied to the host")
        return
    yield Fact(
        "CUDA module",
        f"present, built by {cuda.compiler()} with CUDA {_dotted(cuda.runtime_version())} for compute "
        f"capability {cuda.architectures()}",
    )
    count, reason = cuda.device_count()
    driver = cuda.driver_version()
    if count == 0:
        yield Fact("GPU for the CUDA module", f"no: {reason if driver else 'there is no driver'}")
        return
    devices = f"{count} device{'s' * (count > 1)}, driver for CUDA {_dotted(driver)}"
    try:
        same, _ = _self_test("cuda")
    except (ImportError, RuntimeError, ValueError) as error:
        yield Fact("GPU for the CUDA module", f"{devices}; a test failed: {error}", healthy=False)
        return
    words = "counts as defined" if same else "counts differ from the definition; please report it"
    yield Fact("GPU for the CUDA module", f"{devices}; {words}", healthy=same)


def _dotted(version: int) -> str:
    """13000 as "13.0"."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _extras() -> Iterator[Fact]:
    for package, use, extra in (("scikit-learn", "demo", "demo"), ("pandas", "to_pandas", "pandas")):
        missing = f"not installed: {use} needs it; pip install 'neurocensus[{extra}]'"
        yield Fact(package, _version(package) or missing)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
