"""Accuracy, counted in the audit's own forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..resuming.carried import Saved

if TYPE_CHECKING:
    from torch import Tensor, nn


class Accuracy:
    """A ``forward`` for `neurocensus.audit` that also compares the outputs with the batch's labels.

    Labels are the second of a batch ``(x, y)``. Counting stops, with a reason, at the first batch that does
    not have integer labels (N,) and outputs (N, classes).

    Args:
        classes: number of classes that the labels are drawn from, if it is known.
    """

    def __init__(self, classes: int | None = None) -> None:
        self._classes = classes
        self._seen = 0
        # Tensors on the model's device: to read them at every batch would be to wait for it.
        self._correct: Tensor | int = 0
        self._unknown: Tensor | int = 0
        self._reason = ""

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        """Run the model on one batch, which is on the model's device, and return the output."""
        from ..batches import feed

        output = feed(model, batch)
        if isinstance(batch, (tuple, list)) and len(batch) == 2 and not self._reason:
            labels = batch[1]
            self._reason = self._why_not(output, labels)
            if not self._reason:
                self._correct = self._correct + (output.argmax(1) == labels).sum()
                self._unknown = self._unknown + ((labels < 0) | (labels >= output.shape[1])).sum()
                self._seen += len(labels)
        return output

    @property
    def value(self) -> float | None:
        """Share of examples whose highest output is their label's; None where that was not counted."""
        return float(self._correct) / self._seen if self._seen and not self.reason else None

    @property
    def reason(self) -> str:
        """Why there is no accuracy; empty if there is, or if there are no labels."""
        unknown = int(self._unknown)
        return self._reason or (f"{unknown} labels are none of the model's outputs" if unknown else "")

    def save(self) -> Saved:
        """What was counted; see `neurocensus.resuming.carried.Carried`."""
        counts = {"seen": self._seen, "correct": int(self._correct), "unknown": int(self._unknown)}
        return Saved({**counts, "reason": self._reason})

    def restore(self, *parts: Saved) -> None:
        """Become what all parts together are."""
        values = [part.values for part in parts]
        self._seen, self._correct, self._unknown = (
            sum(value[name] for value in values) for name in ("seen", "correct", "unknown")
        )
        self._reason = next((value["reason"] for value in values if value["reason"]), "")

    def _why_not(self, output: Any, labels: Any) -> str:
        import torch

        if not isinstance(labels, torch.Tensor) or labels.ndim != 1 or labels.dtype.is_floating_point:
            return "the labels are not integers of shape (N,)"
        if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != len(labels):
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            return f"the model's output is {shape}, not (N, classes)"
        if output.shape[1] == 1:
            return "the model has a single output, not one per class"
        if self._classes not in (None, output.shape[1]):
            return f"the model has {output.shape[1]} outputs, the data {self._classes} classes"
        return ""
