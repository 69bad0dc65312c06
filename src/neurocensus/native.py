"""The compiled modules; where one does not load, a stand-in that says so when it is first used."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["core", "cuda", "cuda_counts"]


class _Missing:
    """So that `import neurocensus` and `neurocensus doctor` still work."""

    def __init__(self, what: str, reason: ImportError, remedy: str) -> None:
        self._what, self._reason, self._remedy = what, reason, remedy

    def __getattr__(self, name: str) -> Any:
        raise ImportError(
            f"the {self._what} of neurocensus does not load: {self._reason}; {self._remedy}"
        ) from self._reason


has_cuda = True

if TYPE_CHECKING:
    from . import _core as core
    from . import _cuda as cuda
else:
    try:
        from . import _core as core
    except ImportError as error:
        core = _Missing(
            "compiled core", error, "reinstall neurocensus for this Python, or run `neurocensus doctor`"
        )
    try:
        from . import _cuda as cuda
    except ImportError as error:
        has_cuda = False
        cuda = _Missing(
            "CUDA module",
            error,
            "install a build with it (from source, with nvcc, NEUROCENSUS_CUDA=ON), or count on the CPU",
        )


@cache
def cuda_counts() -> bool:
    """Whether the CUDA module is there and finds a device, with a driver new enough for it."""
    return has_cuda and cuda.device_count()[0] > 0
