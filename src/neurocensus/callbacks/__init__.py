"""Watch a network while it trains: `Monitor` for any loop, callbacks for Lightning, Transformers and Keras.

They leave a line of JSON for each window of the training, scalars in TensorBoard or W&B, warnings of layers
that die, and a plot of it all. What a framework's callback needs is imported when its name is first used; an
ImportError says which extra has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .alarms import ActivationWarning
    from .journal import plot_monitor, read_monitor
    from .keras import KerasCallback as KerasCallback
    from .lightning import LightningCallback as LightningCallback
    from .monitor import Monitor
    from .transformers import TransformersCallback as TransformersCallback

_HOME = {
    "ActivationWarning": "alarms",
    "KerasCallback": "keras",
    "LightningCallback": "lightning",
    "Monitor": "monitor",
    "TransformersCallback": "transformers",
    "plot_monitor": "journal",
    "read_monitor": "journal",
}

# What loads without the frameworks: their callbacks are imported by name, not by `*`.
__all__ = ["ActivationWarning", "Monitor", "plot_monitor", "read_monitor"]


__getattr__, _ = attach(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(_HOME)
