"""Audits across the processes of `torch.distributed`: split the data, count apart, join exactly.

`Auditor.sync` is the short way. Guide: docs/distributed.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .gathering import gather
    from .group import RankError
    from .launching import launched
    from .sampling import once, own_examples, part

_HOME = {
    "RankError": "group",
    "gather": "gathering",
    "launched": "launching",
    "once": "sampling",
    "own_examples": "sampling",
    "part": "sampling",
}

__all__ = ["RankError", "gather", "launched", "once", "own_examples", "part"]


__getattr__, __dir__ = attach(__name__, _HOME)
