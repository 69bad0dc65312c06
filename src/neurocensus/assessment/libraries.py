"""The optional libraries of this package, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any


def sklearn_metrics() -> Any:
    """The module ``sklearn.metrics``.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    return _import("sklearn.metrics", "scikit-learn")


def scipy_stats() -> Any:
    """The module ``scipy.stats``.

    Raises:
        ModuleNotFoundError: SciPy is not installed.
    """
    return _import("scipy.stats", "SciPy")


def _import(module: str, library: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise  # the library is there, something that it needs is not
        raise ModuleNotFoundError(
            f"assessment needs {library}, which is not installed; pip install 'neurocensus[experiments]'",
            name=error.name,
        ) from error
