"""What decides how a training goes, apart from the model and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..arguments import integer

OPTIMIZERS: Final = ("rmsprop", "sgd", "adam")
PRECISIONS: Final = ("float32", "bfloat16", "auto")


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        epochs: passes over the training data.
        learning_rate: constant over the training, as published.
        batch_size: examples per step; the last step of an epoch may have fewer.
        seed: of the order of examples, of dropout and of augmentation.
        optimizer: "rmsprop" (as Keras has it: rho 0.9, epsilon 1e-7), "sgd" (momentum 0.9), "adam".
        patience: stop after so many epochs in a row whose validation loss is no new best. None: never.
        precision: of the forward pass. "float32"; "bfloat16" (torch's autocast; weights, gradients and the
            loss stay float32); "auto": bfloat16 on GPUs that compute in it (compute capability 8 and above),
            float32 elsewhere.
        device: where to train, as torch names it: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 30
    seed: int = 0
    optimizer: Literal["rmsprop", "sgd", "adam"] = "rmsprop"
    patience: int | None = None
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("precision", self.precision, PRECISIONS)
        plain = {  # NumPy's numbers and torch.device too become what JSON can hold
            "epochs": integer("epochs", self.epochs, 1),
            "learning_rate": _rate(self.learning_rate),
            "batch_size": integer("batch_size", self.batch_size, 1),
            "seed": integer("seed", self.seed, 0),
            "patience": None if self.patience is None else integer("patience", self.patience, 1),
            "device": str(self.device),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)  # the class is frozen


def _rate(value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate: expected a number, got {type(value).__name__}") from None
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"learning_rate: expected a finite number above 0, got {rate}")
    return rate


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
