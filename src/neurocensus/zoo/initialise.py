"""Initial weights as Keras has them: Glorot uniform kernels, zero biases."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import nn

from ..arguments import integer

_KERNELS = (nn.Conv2d, nn.Linear)
# Parts of a model that draw from streams of their own: a head is the same whatever the backbone drew.
BACKBONE: Final = 0
HEAD: Final = 1


def initialise(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw the weights of all convolutions and dense layers in `module` anew, and reset its batch norms.

    Glorot uniform (Glorot and Bengio 2010): uniform within sqrt(6 / (fan in + fan out)). What Keras does for
    layers without an initialiser of their own, also where a whole network is made without weights.

    Args:
        generator: where the random numbers come from; default torch's global one.
    """
    for layer in module.modules():
        if isinstance(layer, _KERNELS):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    reset_norms(module)


def reset_norms(module: nn.Module) -> None:
    """Set batch norms to scale 1, shift 0 and the statistics of no data. Draws no random numbers."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


def generator_of(seed: int | None, stream: int) -> torch.Generator | None:
    """A generator on the CPU for one stream of a seed; for None None, which stands for the global one.

    Raises:
        TypeError, ValueError: a seed that is no integer, or negative.
    """
    if seed is None:
        return None
    mixed = np.random.SeedSequence((integer("seed", seed, 0), stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))
