"""The global random states, to be saved and brought back in another process."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of torch, on the CPU and on `device`, of NumPy and of Python, as tensors and as JSON."""
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
