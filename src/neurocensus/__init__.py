"""A census of a neural network: which units never fire, how strongly, how far each layer reaches.

>>> import neurocensus as nc
>>> audit = nc.audit(model, loader)  # doctest: +SKIP
>>> audit.nnu, audit.spectrum().skewness, audit.range().consistency  # doctest: +SKIP

Importing this imports neither torch nor matplotlib: names load what they need when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__

# A function and a module share the name: importing the module later would hide the function.
from .compare import Comparison, compare
from .lazy import attach

if TYPE_CHECKING:
    from . import zoo
    from .array_auditor import ArrayAuditor
    from .auditor import Auditor, audit
    from .metrics import Range, Spectrum
    from .result import Audit, LayerAudit, merge
    from .state import UnitState
    from .storage import load

_HOME = {
    "ArrayAuditor": "array_auditor",
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
    "ArrayAuditor",
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


__getattr__, __dir__ = attach(__name__, _HOME, packages=("zoo",))
