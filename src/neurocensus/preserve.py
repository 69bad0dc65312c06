"""Leave things as they were found: the model's modes, attributes and device, and the random states."""

from __future__ import annotations

import operator
import random
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .capture.keras import as_torch_modules


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

    Restored to the very objects: training flags, attributes and what dicts and lists among them hold (a cache
    that a forward left behind would hold tensors of inference mode, useless in training; hooks that a model
    puts on itself would be put on twice), and the data of parameters that were moved.
    Buffers changed in place stay changed; in eval mode those of PyTorch are not.
    """
    with as_torch_modules(model):
        modules = list(model.modules())
    attributes = [dict(module.__dict__) for module in modules]
    contents = [(held, copy(held)) for had in attributes for held in had.values() if _holds(held)]
    parameters = list(model.parameters())
    data: list[Tensor] = [parameter.data for parameter in parameters]
    gradients: list[Tensor | None] = [p.grad if p.grad is None else p.grad.data for p in parameters]
    try:
        with as_torch_modules(model):
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
        for module in filter(is_sharded, modules):
            module.reshard()  # type: ignore[operator] # its parameters: the sharded ones, as it knows them
        for module, had in zip(modules, attributes, strict=True):
            _restore(module.__dict__, had)
        for held, had in contents:
            _restore(held, had)


def is_sharded(module: nn.Module) -> bool:
    """Whether `torch.distributed.fsdp.fully_shard` was applied to `module` itself."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and isinstance(module, getattr(fsdp, "FSDPModule", ()))


def _holds(value: Any) -> bool:
    return type(value) in (dict, OrderedDict, list)


def _restore(current: Any, had: Any) -> None:
    """Give the dict or list `current` the content of `had`, of the same type; touch nothing if it has it."""
    if isinstance(current, list):
        if len(current) != len(had) or any(map(operator.is_not, current, had)):
            current[:] = had
    elif current.keys() != had.keys() or any(current[key] is not had[key] for key in had):
        current.clear()
        current.update(had)
