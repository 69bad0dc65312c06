"""What a training changes around it and gives back: modes of modules, device, precision, determinism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from .settings import Settings


def training_mode(model: nn.Module) -> None:
    """Put `model` in training mode, except frozen batch normalization, which keeps its running statistics.

    Frozen is one whose parameters are all frozen, or, where it has none, those of the module around it.
    As Keras treats ``trainable = False``.
    """
    model.train()
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not isinstance(module, _NormBase):
            continue
        owner, path = module, name
        while path and next(owner.parameters(), None) is None:
            path = path.rpartition(".")[0]
            owner = modules[path]
        if not any(parameter.requires_grad for parameter in owner.parameters()):
            module.eval()


@contextmanager
def as_found(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have `model` on `device`; at the end it is where it was, and its modules in the modes they had."""
    modes = [(module, module.training) for module in model.modules()]
    homes = {tensor.device for tensor in chain(model.parameters(), model.buffers())}
    try:
        model.to(device)
        yield
    finally:
        if len(homes) == 1:
            model.to(homes.pop())
        for module, training in modes:
            module.training = training


@contextmanager
def deterministic_convolutions() -> Iterator[None]:
    """Have cuDNN choose algorithms that give the same bits each time, and choose them the same way."""
    cudnn = torch.backends.cudnn
    had = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = had


def autocast(settings: Settings, device: torch.device) -> AbstractContextManager[object]:
    """What forward passes run under.

    Raises:
        ValueError: bfloat16 was asked for and the GPU does not compute in it.
    """
    has = device.type == "cpu" or _computes_bfloat16(device)
    if settings.precision == "bfloat16" and not has:
        raise ValueError(
            f"precision: expected one that the device computes in, got 'bfloat16' on {device}; use 'float32' "
            "or 'auto'"
        )
    if settings.precision == "float32" or not has or (settings.precision == "auto" and device.type == "cpu"):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
