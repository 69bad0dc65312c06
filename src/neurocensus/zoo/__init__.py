"""The models of the thesis, and the backbones that they transfer from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach
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


__getattr__, __dir__ = attach(__name__, _HOME)
