"""Which channels can only be removed together: Torch-Pruning's dependency groups, as this package needs them.

A *channel* is an output channel of a convolution or a row of a dense layer. Removing it also removes that
channel from the norms it passes, from the other layers whose outputs are added to it, and from the inputs of
the layers that read it. Torch-Pruning finds these by tracing autograd; it also does the removing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import torch
from torch import nn

from ..batches import feed

_OUTPUT: Final = "it is an output of the model"
# What Torch-Pruning calls the operations that hand channels on, each for itself.
_PASSING: Final = ("BN", "IN", "PRELU", "DEPTHWISE_CONV", "CONCAT", "SPLIT", "ELEMENTWISE", "RESHAPE")

Channels = dict[int, list[int]]
"""From a channel of the group to the indices that stand for it in one layer."""


@dataclass(eq=False)
class Group:
    """Layers that share their channels. The channels are those of `root`."""

    root: nn.Module
    channels: int
    producers: dict[nn.Module, Channels] = field(default_factory=dict)
    """Layers that put values into the channels: index of an output channel."""
    consumers: dict[nn.Module, Channels] = field(default_factory=dict)
    """Layers that read them: index of an input channel; after a flatten there are several to a channel."""
    refused: str = ""
    """Why nothing of it can be removed; empty if something may be."""


class Dependencies:
    """The groups of a model, and how to remove channels from one.

    Args:
        model: in eval mode, every parameter requires its gradient. Changed by `remove`.
        batch: an example of what it is run on.

    Raises:
        ModuleNotFoundError: Torch-Pruning is not installed.
        ValueError: the model cannot be traced.
    """

    def __init__(self, model: nn.Module, batch: Any) -> None:
        self._tp = import_torch_pruning()
        self._graph = self._tp.DependencyGraph()
        self._passing = {getattr(self._tp.ops.OPTYPE, kind) for kind in _PASSING}
        self._names: dict[Any, str] = {module: name for name, module in model.named_modules()}
        try:
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layouts that it then leaves alone
                self._graph.build_dependency(model, batch, forward_fn=feed, verbose=False)
                self.groups = list(self._groups())
        except Exception as error:
            raise ValueError(
                f"model: Torch-Pruning cannot trace {type(model).__name__} on this example_input: "
                f"{type(error).__name__}: {error}"
            ) from error

    def name(self, module: nn.Module) -> str:
        """The path of a module of the model."""
        return self._names.get(module, type(module).__name__)

    def remove(self, group: Group, channels: list[int]) -> None:
        """Remove channels from all layers of a group."""
        pruner = self._graph.get_pruner_of_module(group.root)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._graph.get_pruning_group(group.root, pruner.prune_out_channels, channels).prune()

    def _groups(self) -> Iterator[Group]:
        seen: set[nn.Module] = set()
        for module in [m for m in self._graph.module2node if is_layer(m)]:
            if module in seen:
                continue
            pruner = self._graph.get_pruner_of_module(module)
            count = pruner.get_out_channels(module)
            found = self._graph.get_pruning_group(module, pruner.prune_out_channels, list(range(count)))
            group = Group(module, count)
            for item in found.items:
                self._add(group, item)
            seen.update(group.producers)
            if not group.consumers:
                group.refused = group.refused or _OUTPUT
            yield group

    def _add(self, group: Group, item: Any) -> None:
        """Add one of Torch-Pruning's items: a layer, whether its inputs or outputs, and the indices there."""
        module, types = item.dep.target.module, self._tp.ops.OPTYPE
        kind = item.dep.target.type
        if is_layer(module):
            outputs = item.dep.handler == self._graph.get_pruner_of_module(module).prune_out_channels
            layers = group.producers if outputs else group.consumers
            channels = layers.setdefault(module, {})
            for index, channel in zip(item.idxs, item.root_idxs, strict=True):
                channels.setdefault(int(channel), []).append(int(index))
            if isinstance(module, nn.modules.conv._ConvNd) and module.groups > 1:
                group.refused = f"{self.name(module)!r} is a grouped convolution"
        elif kind == types.DEPTHWISE_CONV and module.in_channels != module.out_channels:
            group.refused = f"{self.name(module)!r} is a grouped convolution"
        elif kind == types.OUTPUT:
            group.refused = _OUTPUT
        elif kind not in self._passing or _keeps_instance_statistics(module):
            known = module in self._names
            what = f"{self.name(module)!r} ({type(module).__name__})" if known else kind.name.lower()
            group.refused = group.refused or f"its values pass {what}, of which nothing is removed"


def _keeps_instance_statistics(module: Any) -> bool:
    """Torch-Pruning leaves the running statistics of instance norms as long as they were."""
    return isinstance(module, nn.modules.instancenorm._InstanceNorm) and module.running_mean is not None


def is_layer(module: Any) -> bool:
    """Whether it is a dense layer or a convolution that mixes channels; a depthwise one passes them on."""
    if isinstance(module, nn.modules.conv._ConvNd):
        return not (module.groups == module.out_channels and module.out_channels > 1)
    return isinstance(module, nn.Linear)


def channel_axis(module: nn.Module) -> int:
    """Which axis of its output holds the channels, from the end."""
    return -1 - len(module.kernel_size) if isinstance(module, nn.modules.conv._ConvNd) else -1


def import_torch_pruning() -> Any:
    """Torch-Pruning, or a ModuleNotFoundError that says how to get it."""
    try:
        return import_module("torch_pruning")
    except ModuleNotFoundError as error:
        if error.name != "torch_pruning":
            raise
        raise ModuleNotFoundError(
            "removing units needs Torch-Pruning: pip install 'neurocensus[prune]'", name="torch_pruning"
        ) from error
