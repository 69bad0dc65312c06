"""The compiled core; where it does not load, a stand-in that says so when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["core"]


class _Missing:
    """So that `import neurocensus` and `neurocensus doctor` still work."""

    def __init__(self, reason: ImportError) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise ImportError(
            f"the compiled core of neurocensus does not load: {self._reason}; "
            "reinstall neurocensus for this Python, or run `neurocensus doctor`"
        ) from self._reason


if TYPE_CHECKING:
    from . import _core as core
else:
    try:
        from . import _core as core
    except ImportError as error:
        core = _Missing(error)
