"""The models of the thesis, and the backbones that they transfer from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .recipes import Recipe, names, recipe

if TYPE_CHECKING:
    from .building import backbone, backbones
    from .factory import create
    from .features import Backbone
    from .models import Head, PlainCnn, Transfer

_HOME = {
    "Backbone": "features",
    "Head": "models",
    "PlainCnn": "models",
    "Transfer": "models",
    "backbone": "building",
    "backbones": "building",
    "create": "factory",
}

__all__ = [
    "Backbone",
    "Head",
    "PlainCnn",
    "Recipe",
    "Transfer",
    "backbone",
    "backbones",
    "create",
    "names",
    "recipe",
]


def __getattr__(name: str) -> Any:
    """The names that need torch, imported when first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
