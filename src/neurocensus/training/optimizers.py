"""The optimizers by their names in `Settings`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from .settings import Settings


def optimizer_for(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """A fresh optimizer over `parameters`. torch itself takes its multi-tensor kernels where they are faster.

    "rmsprop" is that of Keras 2 with its default arguments: ``a = rho a + (1 - rho) g^2`` and
    ``p = p - learning_rate g / (sqrt(a) + epsilon)``, with rho 0.9 and epsilon 1e-7.
    """
    rate = settings.learning_rate
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-7)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    return torch.optim.Adam(parameters, lr=rate)
