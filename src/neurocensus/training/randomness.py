"""The random states that a training depends on: seeded per epoch, saved, brought back."""

from __future__ import annotations

import random

import numpy as np
import torch

from ..randomness import restore, states

__all__ = ["restore", "seed_epoch", "states"]


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch (all devices), NumPy and Python for one epoch; any two epochs and seeds are independent."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(3, np.uint32)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(int(words[2]))  # noqa: NPY002 - the global state is what models and augmentations use
    random.seed(int(words[2]))
