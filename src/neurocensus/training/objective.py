"""The loss and the accuracy that belong to a model's output, and how a model does by them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .logits import Logits

if TYPE_CHECKING:
    from ..data import Examples

EVALUATION_BATCH: Final = 100
EPSILON: Final = 1e-7
"""Keras clips probabilities to [EPSILON, 1 - EPSILON]."""


def binary(outputs: Tensor, labels: Tensor, logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean binary cross-entropy of probabilities (N, 1) or (N,), and right answers: float32, of shape ().

    Of their `logits` where these are known, as `tf.keras` does it. Else of clipped probabilities, as Keras 2
    did it: that has no gradient where the sigmoid is saturated, so that a model whose first steps are too
    long never recovers (model 1 of the thesis, at its learning rate of 0.001, at two of three seeds).

    `torch.nn.functional.binary_cross_entropy` would end the process's use of a GPU at the first NaN, by a
    failed assertion; this lets it through.
    """
    probabilities, wanted = outputs.float().flatten(), labels.float()
    right = ((probabilities > 0.5) == (labels == 1)).sum(dtype=torch.float32)
    if logits is not None:
        return F.binary_cross_entropy_with_logits(logits.float().flatten(), wanted), right
    clipped = probabilities.clamp(EPSILON, 1 - EPSILON)
    return -(wanted * clipped.log() + (1 - wanted) * torch.log1p(-clipped)).mean(), right


def categorical(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of logits (N, k), and right answers: float32, of shape ()."""
    logits = outputs.float()
    return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).sum(dtype=torch.float32)


class Judge:
    """Runs a model on batches and says how wrong it is.

    Args:
        autocast: what forward passes run under.
        data: the examples that the model is for, by the names of the arguments that they came as. Their
            labels are checked at the first output, which says what the model is for.
    """

    def __init__(
        self, model: nn.Module, autocast: AbstractContextManager[object], data: Mapping[str, Examples]
    ) -> None:
        self.model, self.data = model, data
        self._autocast, self._logits = autocast, Logits(model)
        self._width: int | None = None

    def __call__(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch and the number of right answers, both float32, of shape ().

        Raises:
            TypeError, ValueError: as `check_outputs`.
        """
        with self._autocast, self._logits.watched():
            outputs = self.model(inputs)
        if self._width is None:
            self._width = check_outputs(outputs, len(labels), self.data)
        if self._width > 1:
            return categorical(outputs, labels)
        return binary(outputs, labels, self._logits.behind(outputs))

    def over(self, examples: Examples, device: torch.device) -> tuple[float, float]:
        """Mean loss and accuracy over all examples. Leaves the model in eval mode."""
        from ..data import batches

        self.model.eval()
        with torch.no_grad():
            found = [
                torch.stack((loss * len(labels), right))
                for inputs, labels in batches(examples, EVALUATION_BATCH, device=device)
                for loss, right in [self(inputs, labels)]
            ]
        loss, right = torch.stack(found).cpu().double().sum(0).tolist()
        return loss / len(examples), right / len(examples)


def check_outputs(outputs: Any, examples: int, data: Mapping[str, Examples]) -> int:
    """How many outputs a model has for each example, going by those for a batch of so many.

    Args:
        data: the examples that the model is for; see `Judge`.

    Raises:
        TypeError: the output is not a floating-point tensor.
        ValueError: its shape is none of (N, 1), (N,) and (N, k); one output that is not a probability; labels
            that do not fit.
    """
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        got = outputs.dtype if isinstance(outputs, Tensor) else type(outputs).__name__
        raise TypeError(f"model: expected a floating-point tensor as output, got {got}")
    shape = tuple(outputs.shape)
    if shape[:1] != (examples,) or len(shape) > 2 or 0 in shape:
        raise ValueError(
            f"model: expected an output of shape ({examples}, 1), probabilities, or ({examples}, k), logits, "
            f"for a batch of {examples} examples, got {shape}"
        )
    width = shape[1] if len(shape) == 2 else 1
    for name, given in data.items():
        _check_classes(name, given, width)
    if width > 1:
        return width
    low, high = (float(bound) for bound in outputs.detach().float().aminmax())
    if low < 0 or high > 1:  # not so of NaN, which is for the loop to report
        raise ValueError(
            f"model: expected probabilities in [0, 1] from a model with one output, got values from "
            f"{low:.4g} to {high:.4g}; end the model with a sigmoid, or give it two outputs (logits)"
        )
    return 1


def _check_classes(name: str, examples: Examples, width: int) -> None:
    """Raise unless the examples are something for a model with `width` outputs."""
    found, classes = np.unique(examples.labels), examples.classes
    if width == 1 and len(classes) != 2:
        raise ValueError(
            f"{name}: expected two classes for a model with one output, got {len(classes)} "
            f"({_some(classes)}); choose two of them, or a model with an output for each"
        )
    if width > 1 and found[-1] >= width:
        raise ValueError(
            f"{name}: expected labels from 0 to {width - 1} for a model with {width} outputs, got "
            f"{_some(found)}; give the model an output for each of the {len(classes)} classes"
        )
    if name == "train" and len(found) < 2:
        raise ValueError(
            f"{name}: expected examples of two classes or more, got only {classes[found[0]]!r}: there is "
            "nothing to tell apart"
        )


def _some(values: Any, limit: int = 5) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:limit]) + (f", ... ({len(listed)} of them)" if len(listed) > limit else "")
