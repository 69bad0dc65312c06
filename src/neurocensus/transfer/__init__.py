"""From one task to another: freeze, train the head, fine-tune the last blocks, and see which weights moved.

Importing this imports no torch: names load what they need when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .features import bottleneck
    from .fine_tuning import fine_tune
    from .freezing import Parameters, blocks, freeze, trainable, unfreeze_from
    from .joined import JoinedShift
    from .plot import plot_weight_shift
    from .reach import activation_points
    from .shift import TensorShift, WeightShift, snapshot, weight_shift

_HOME = {
    "JoinedShift": "joined",
    "Parameters": "freezing",
    "TensorShift": "shift",
    "WeightShift": "shift",
    "activation_points": "reach",
    "blocks": "freezing",
    "bottleneck": "features",
    "fine_tune": "fine_tuning",
    "freeze": "freezing",
    "plot_weight_shift": "plot",
    "snapshot": "shift",
    "trainable": "freezing",
    "unfreeze_from": "freezing",
    "weight_shift": "shift",
}

__all__ = [
    "JoinedShift",
    "Parameters",
    "TensorShift",
    "WeightShift",
    "activation_points",
    "blocks",
    "bottleneck",
    "fine_tune",
    "freeze",
    "plot_weight_shift",
    "snapshot",
    "trainable",
    "unfreeze_from",
    "weight_shift",
]


__getattr__, __dir__ = attach(__name__, _HOME)
