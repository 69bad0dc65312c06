"""A census of a neural network: which units never fire, how strongly, how far each layer reaches."""

from .state import UnitState
from ._version import __version__

__all__ = ["UnitState", "__version__"]
