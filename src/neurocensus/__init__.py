"""A census of a neural network: which units never fire, how strongly, how far each layer reaches.

>>> import neurocensus as nc
>>> audit = nc.audit(model, loader)  # doctest: +SKIP
>>> audit.nnu, audit.spectrum().skewness, audit.range().consistency  # doctest: +SKIP

Importing this imports neither torch nor matplotlib: names load what they need when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

# A function and a module share the name: importing the module later would hide the function.
from .compare import Comparison, compare

if TYPE_CHECKING:
    from . import zoo
    from .auditor import Auditor, audit
    from .metrics import Range, Spectrum
    from .result import Audit, LayerAudit, merge
    from .state import UnitState
    from .storage import load

_PACKAGES = ("zoo",)
_HOME = {
    "Audit": "result",
    "Auditor": "auditor",
    "LayerAudit": "result",
    "Range": "metrics",
    "Spectrum": "metrics",
    "UnitState": "state",
    "audit": "auditor",
    "load": "storage",
    "merge": "result",
}

__all__ = [
    "Audit",
    "Auditor",
    "Comparison",
    "LayerAudit",
    "Range",
    "Spectrum",
    "UnitState",
    "__version__",
    "audit",
    "compare",
    "load",
    "merge",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
