"""What a model is worth beside what its units do: confusion matrix, ROC, and how they go with the census.

Needs ``pip install 'neurocensus[experiments]'`` (scikit-learn, SciPy), which is imported at the first call.
"""

from .confusion import METRICS, Confusion, accuracy, confusion
from .relations import Relation, Relations, plot_relations, relations
from .roc import Roc, plot_roc, roc

__all__ = [
    "METRICS",
    "Confusion",
    "Relation",
    "Relations",
    "Roc",
    "accuracy",
    "confusion",
    "plot_relations",
    "plot_roc",
    "relations",
    "roc",
]
