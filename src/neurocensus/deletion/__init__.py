"""Delete dead units: mask them, show that nothing changes, train on without them, take them out for good.

Importing this imports no torch: names load what they need when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import DeletionComparison, compare
    from .dead import DeadUnits, dead_units
    from .masks import Mask, masked, unmask
    from .removal import Removal, remove
    from .retraining import retrain
    from .verification import Verification, verify

_HOME = {
    "DeadUnits": "dead",
    "DeletionComparison": "comparison",
    "Mask": "masks",
    "Removal": "removal",
    "Verification": "verification",
    "compare": "comparison",
    "dead_units": "dead",
    "masked": "masks",
    "remove": "removal",
    "retrain": "retraining",
    "unmask": "masks",
    "verify": "verification",
}

__all__ = [
    "DeadUnits",
    "DeletionComparison",
    "Mask",
    "Removal",
    "Verification",
    "compare",
    "dead_units",
    "masked",
    "remove",
    "retrain",
    "unmask",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
