"""Which parts of a model train: freeze, unfreeze from a block on, count.

A frozen part keeps its weights *and* the running statistics of its batch norms. The first is the parameters'
``requires_grad``. The second is the norms' eval mode, which ``model.train()`` undoes: `training.fit` uses
`training.modes.training_mode` in its place, which leaves frozen norms in eval mode; in your own loop do too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeGuard

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from ..capture.names import named_modules, unwrapped


class Parameters(NamedTuple):
    """Numbers of scalar parameters. Buffers, such as running statistics, are not among them."""

    total: int
    trainable: int


def freeze(module: nn.Module) -> None:
    """Stop `module` from learning: neither its parameters nor its batch norms' statistics change in training.

    The statistics stay as long as the norms are in eval mode, which `training.fit` sees to.
    """
    for parameter in _check_module(module, "module").parameters():
        parameter.requires_grad_(False)
    for norm in _norms(module):
        norm.eval()


def unfreeze_from(model: nn.Module, block: str) -> None:
    """Let `block` and all that comes after it learn. What comes before stays as it is: `freeze` it first.

    Inside a backbone that names its blocks (`neurocensus.zoo`) these are in the order of the data; elsewhere
    "after" is the order in which the modules were registered, that of ``model.named_modules()``. After the
    backbone comes what was registered after it: a head, for example.

    Args:
        model: as a whole.
        block: one of `blocks`, or the path of any module with parameters.

    Raises:
        ValueError: there is no such block; lists those that there are.
    """
    for module in _from(_check_module(model, "model"), block):
        for parameter in _own_parameters(module):
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(True)
        if isinstance(module, _NormBase):
            module.train(model.training)


def check_block(model: nn.Module, block: str) -> None:
    """Raise ValueError unless `unfreeze_from` knows the block."""
    _from(_check_module(model, "model"), block)


def blocks(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """The model's blocks in order: name to the paths of the modules in it.

    Those that a backbone inside declares by its attribute ``blocks`` (with two such backbones, the names
    begin with their paths). Without one, the model's children that have parameters, each a block.
    """
    model = unwrapped(_check_module(model, "model"))
    found = list(_backbones(model))
    if not found:
        return {name: (name,) for name, child in model.named_children() if _has_parameters(child)}
    return {
        (name if len(found) == 1 else _path(path, name)): tuple(_path(path, inner) for inner in inside)
        for path, declared in found
        for name, inside in declared.items()
    }


def trainable(model: nn.Module) -> Parameters:
    """How many parameters the model has, and how many of them train. Shared ones count once.

    Keras counts the running mean and variance of batch norms as parameters that do not train; PyTorch and
    this do not.

    Raises:
        ValueError: a lazy module without parameters yet.
    """
    total = learning = 0
    for name, parameter in _check_module(model, "model").named_parameters():
        if is_lazy(parameter):
            raise ValueError(
                f"model: {name} is a lazy parameter without a shape yet; run the model on one batch first"
            )
        total += parameter.numel()
        learning += parameter.numel() * parameter.requires_grad
    return Parameters(total, learning)


def _norms(module: nn.Module) -> list[nn.Module]:
    return [found for found in module.modules() if isinstance(found, _NormBase)]


def _from(model: nn.Module, block: str) -> list[nn.Module]:
    """The modules of `block` and of all after it."""
    model = unwrapped(model)
    modules = {name: module for name, module, wrapper in named_modules(model) if not wrapper}
    if not isinstance(block, str):
        raise TypeError(f"block: expected the name of a block, got {type(block).__name__}")
    declared = blocks(model)
    order = list(modules)
    if block in declared:
        names = list(declared)
        chosen = _inside(modules, (path for name in names[names.index(block) :] for path in declared[name]))
        blocked = _inside(modules, (path for paths in declared.values() for path in paths))
        last = max(map(order.index, blocked))  # beyond it there may be a head
        return [modules[name] for name in (*chosen, *order[last + 1 :])]
    if block in modules and block and _has_parameters(modules[block]):
        return [modules[name] for name in order[order.index(block) :]]
    raise _unknown(block, declared, modules)


def _inside(modules: Mapping[str, nn.Module], paths: Iterable[str]) -> list[str]:
    """Names of the modules at the paths and below."""
    tops = set(paths)
    if missing := sorted(tops - modules.keys()):
        raise ValueError(f"model: its blocks name the module {missing[0]!r}, which it does not have")
    return [name for name in modules if any(name == top or name.startswith(f"{top}.") for top in tops)]


def _unknown(block: str, declared: Mapping[str, object], modules: Mapping[str, nn.Module]) -> ValueError:
    paths = [name for name, module in modules.items() if name and _has_parameters(module)]
    close = difflib.get_close_matches(block, [*declared, *paths], n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    shown = ", ".join(paths[:50]) + (f", and {len(paths) - 50} more" if len(paths) > 50 else "")
    return ValueError(
        f"block: the model has no block {block!r}.{hint} Blocks: {', '.join(declared) or 'none'}. "
        f"Or the path of a module with parameters: {shown or 'there is none'}"
    )


def _backbones(model: nn.Module) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]]]]:
    """Path and blocks of each module that declares blocks, none inside another such."""
    outer: list[str] = []
    for name, module, _ in named_modules(model):
        declared = getattr(module, "blocks", None)
        if not _declares_blocks(declared) or any(name.startswith(_path(path, "")) for path in outer):
            continue
        outer.append(name)
        yield name, declared


def _declares_blocks(blocks: object) -> TypeGuard[Mapping[str, tuple[str, ...]]]:
    return isinstance(blocks, Mapping) and all(
        isinstance(name, str) and isinstance(paths, tuple) and all(isinstance(path, str) for path in paths)
        for name, paths in blocks.items()
    )


def _path(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if outer else inner


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _own_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Those of the module without its sub-modules; a parametrized weight is its own."""
    yield from module.parameters(recurse=False)
    if "parametrizations" in module._modules:
        yield from module.get_submodule("parametrizations").parameters()


def _check_module(module: nn.Module, argument: str) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise TypeError(f"{argument}: expected a torch.nn.Module, got {type(module).__name__}")
    return module
