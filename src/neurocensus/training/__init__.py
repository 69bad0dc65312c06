"""Training that can be killed at any moment and goes on where it was: one loop for all models.

>>> from neurocensus.training import Settings, fit
>>> settings = Settings(epochs=30, learning_rate=1e-3)
>>> history = fit(model, train, validation, settings, folder="run")  # doctest: +SKIP
>>> history.best["validation_accuracy"]  # doctest: +SKIP

Importing this imports neither torch nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """The names that need torch or matplotlib, imported when first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
