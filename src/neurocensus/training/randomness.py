"""The random states that a training depends on: seeded per epoch, saved, brought back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch (all devices), NumPy and Python for one epoch; any two epochs and seeds are independent."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(3, np.uint32)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(int(words[2]))  # noqa: NPY002 - the global state is what models and augmentations use
    random.seed(int(words[2]))


def states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The global random states as tensors and as JSON."""
    tensors = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    tensors["numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return tensors, {"numpy": [name, *rest], "python": random.getstate()}


def restore(tensors: dict[str, Tensor], values: dict[str, Any], device: torch.device) -> None:
    """Bring back what `states` gave."""
    torch.set_rng_state(tensors["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["cuda"], device)
    name, *rest = values["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, keys, gauss = values["python"]
    random.setstate((version, tuple(keys), gauss))
