"""Delete dead units: mask them, show that nothing changes, train on without them, take them out for good.

Importing this imports no torch: names load what they need when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

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


__getattr__, __dir__ = attach(__name__, _HOME)
