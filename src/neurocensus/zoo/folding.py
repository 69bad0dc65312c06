"""Networks whose batch norms are folded into the convolutions before them.

In evaluation a batch norm is an affine map per channel. Exports for inference multiply it into the weights
of the convolution before it, which gets a bias in turn. The norms are gone then, also for training.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn


def is_folded(module: nn.Module, keys: Collection[str]) -> bool:
    """Whether `keys`, the names of weights for `module`, have no batch norm but biases in their place."""
    norms = [name for name, layer in module.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    if any(f"{name}.{part}" in keys for name in norms for part in ("weight", "running_mean")):
        return False
    return any(f"{name}.bias" in keys for name, _ in _without_bias(module))


def fold(module: nn.Module) -> None:
    """Turn batch norms into identities and give the convolutions without a bias one, of zeros. In place."""
    for _, layer in _without_bias(module):
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels, dtype=layer.weight.dtype))
    for parent in list(module.modules()):
        for key, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, key, nn.Identity())


def _without_bias(module: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
    return [(name, layer) for name, layer in found if layer.bias is None]
