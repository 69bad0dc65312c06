"""`predict`: a model's outputs for all examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..devices import available
from ..preserve import evaluating, random_states
from .objective import EVALUATION_BATCH

if TYPE_CHECKING:
    from ..data import Examples


def predict(
    model: nn.Module, examples: Examples, *, batch_size: int = EVALUATION_BATCH, device: str = "cpu"
) -> npt.NDArray[np.float32]:
    """A model's outputs for all examples, in their order, in eval mode. The model is left as it was found.

    Args:
        batch_size: examples per forward pass.
        device: where to run.

    Returns:
        float32: probabilities of class 1, shape (N,), of a model with one output; else what the model gives,
        logits of shape (N, k).

    Raises:
        TypeError: the model's output is not a tensor.
        ValueError: no examples; no such device.
    """
    from ..data import batches

    if not len(examples):
        raise ValueError("examples: expected at least one, got none")
    place = available(device)
    parts = []
    with random_states(), evaluating(model, place), torch.inference_mode():
        for inputs, _ in batches(examples, batch_size, device=place):
            outputs: Any = model(inputs)
            if not isinstance(outputs, torch.Tensor):
                raise TypeError(f"model: expected a tensor as output, got {type(outputs).__name__}")
            parts.append(outputs.float().cpu())
        scores: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
