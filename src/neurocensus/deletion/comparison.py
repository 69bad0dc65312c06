"""Models with and without their dead units beside one another: metrics and ROC on the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from .. import tables, text
from ..assessment import Confusion, Roc, accuracy, confusion, plot_roc, roc

if TYPE_CHECKING:
    import rich.table
    from matplotlib.figure import Figure

    from ..data import Examples

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DeletionComparison:
    """Models under the names given, in that order. Made by `compare`."""

    examples: int
    metrics: Mapping[str, Mapping[str, float]]
    """By model: the ten metrics of `assessment.confusion`; with more than two classes accuracy alone."""
    confusions: Mapping[str, Confusion]
    """By model, of models of two classes."""
    rocs: Mapping[str, Roc]
    """By model, of models of two classes."""
    changed: Mapping[str, int]
    """By model: examples that it puts into another class than the first model does."""

    def rows(self) -> list[dict[str, Any]]:
        """One row per model: its metrics, ``auc`` where there is a ROC, ``changed``."""
        return [
            {
                "model": name,
                **metrics,
                **({"auc": self.rocs[name].auc} if name in self.rocs else {}),
                "changed": self.changed[name],
            }
            for name, metrics in self.metrics.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The rows ready for JSON: what is NaN is None."""
        out: dict[str, Any] = tables.json_ready({"examples": self.examples, "models": self.rows()})
        return out

    def table(self) -> rich.table.Table:
        """A rich table, one row per measure, the models beside one another."""
        rows = self.rows()
        measures = [key for key in rows[0] if key != "model"]
        cells = [
            (measure.replace("_", " "), *(_cell(row.get(measure)) for row in rows)) for measure in measures
        ]
        return tables.rich_rows(("measure", *self.metrics), cells, 1)

    def plot_roc(self) -> Figure:
        """The ROC curves on one plane.

        Raises:
            ValueError: models of more than two classes, which have none.
        """
        if not self.rocs:
            raise ValueError(
                "compare: expected models of two classes to draw a ROC curve of, got more classes"
            )
        return plot_roc(self.rocs)


def compare(
    models: Mapping[str, nn.Module | Scores],
    examples: Examples,
    *,
    threshold: float = 0.5,
    batch_size: int = 100,
    device: str = "cpu",
) -> DeletionComparison:
    """Compare models on the same labelled examples: the source model, the masked, the retrained, the smaller.

    Args:
        models: models by name, as they are now (with the masks that are on them), or their scores from
            `training.predict`, which one and the same model needs before and after it changes.
        examples: what to score.
        threshold: a probability above it is class 1.
        batch_size, device: as for `training.predict`.

    Raises:
        TypeError, ValueError: no models, scores of another number of examples or classes.
        ModuleNotFoundError: scikit-learn is not installed.
    """
    from ..training import predict

    if not models:
        raise ValueError('models: expected at least one, got none; give {"name": model, ...}')
    scores = {
        name: predict(model, examples, batch_size=batch_size, device=device)
        if isinstance(model, nn.Module)
        else np.asarray(model)
        for name, model in models.items()
    }
    shapes = {name: found.shape for name, found in scores.items()}
    if len(set(shapes.values())) > 1 or next(iter(shapes.values()))[:1] != (len(examples),):
        raise ValueError(f"models: expected scores of the same {len(examples)} examples, got shapes {shapes}")
    labels = examples.labels
    two = {name: found for name, found in scores.items() if found.ndim == 1}
    confusions = {name: confusion(labels, found, threshold=threshold) for name, found in two.items()}
    metrics = {
        name: confusions[name].metrics() if name in confusions else {"accuracy": accuracy(labels, found)}
        for name, found in scores.items()
    }
    classes = {
        name: (found > threshold) if found.ndim == 1 else found.argmax(axis=1)
        for name, found in scores.items()
    }
    first = next(iter(classes.values()))
    changed = {name: int((found != first).sum()) for name, found in classes.items()}
    rocs = {name: roc(labels, found) for name, found in two.items()}
    return DeletionComparison(len(examples), metrics, confusions, rocs, changed)


def _cell(value: float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return text.count(value)
    return text.NOT_AVAILABLE if np.isnan(value) else f"{value:.4f}"
