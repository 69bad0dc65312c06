"""Leave things as they were found: the model's modes, attributes and device, and the random states."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def random_states() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch (CPU, and CUDA where it is in use) at the end."""
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state()  # noqa: NPY002 - the global state is what models use
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        for device, state in enumerate(cuda):
            torch.cuda.set_rng_state(state, device)


@contextmanager
def evaluating(model: nn.Module, device: torch.device | None) -> Iterator[None]:
    """Put `model` in eval mode, on `device`; at the end give every module back what it had.

    Restored to the very objects: training flags, attributes (a cache that a forward left behind would hold
    tensors of inference mode, useless in training), buffers, and the data of parameters that were moved.
    Buffers changed in place stay changed; in eval mode those of PyTorch are not.
    """
    modules = list(model.modules())
    attributes = [dict(module.__dict__) for module in modules]
    tensors = [(dict(module._parameters), dict(module._buffers)) for module in modules]
    parameters = list(model.parameters())
    data: list[Tensor] = [parameter.data for parameter in parameters]
    gradients: list[Tensor | None] = [p.grad if p.grad is None else p.grad.data for p in parameters]
    try:
        model.eval()
        if device is not None:
            model.to(device)
        yield
    finally:
        for parameter, tensor, gradient in zip(parameters, data, gradients, strict=True):
            if parameter.data.device != tensor.device:
                parameter.data = tensor
                if parameter.grad is not None and gradient is not None:
                    parameter.grad.data = gradient
        for module, had, (parameters_had, buffers_had) in zip(modules, attributes, tensors, strict=True):
            _restore(module.__dict__, had)
            _restore(module._parameters, parameters_had)
            _restore(module._buffers, buffers_had)


def _restore(current: dict[str, Any], had: dict[str, Any]) -> None:
    if current.keys() != had.keys() or any(current[key] is not had[key] for key in had):
        current.clear()
        current.update(had)
