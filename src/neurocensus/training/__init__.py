"""Training that can be killed at any moment and goes on where it was: one loop for all models.

>>> from neurocensus.training import Settings, fit
>>> settings = Settings(epochs=30, learning_rate=1e-3)
>>> history = fit(model, train, validation, settings, folder="run")  # doctest: +SKIP
>>> history.best["validation_accuracy"]  # doctest: +SKIP

Importing this imports neither torch nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach
from .history import History
from .settings import Settings

if TYPE_CHECKING:
    from .callbacks import AuditEvery, Callback
    from .curves import plot_history
    from .loop import fit
    from .prediction import predict

_HOME = {
    "AuditEvery": "callbacks",
    "Callback": "callbacks",
    "fit": "loop",
    "plot_history": "curves",
    "predict": "prediction",
}

__all__ = ["AuditEvery", "Callback", "History", "Settings", "fit", "plot_history", "predict"]


__getattr__, __dir__ = attach(__name__, _HOME)
