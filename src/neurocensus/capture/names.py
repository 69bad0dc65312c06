"""Modules under the names that the user's own model gives them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "AveragedModel")


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Each module once: its name without prefixes of wrappers (DDP, FSDP, compile), and whether it is one.

    A wrapper has the name of what it wraps. The root's name is "". A module registered twice has its first
    name. Parametrizations (`torch.nn.utils.parametrize`) are part of their module and not listed.
    """
    seen: set[nn.Module] = set()

    def walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module, bool]]:
        if module in seen:
            return
        seen.add(module)
        wrapped = [key for key in module._modules if key in _WRAPPED or (key == "module" and _wraps(module))]
        yield name, module, bool(wrapped)
        for key, child in module._modules.items():
            if child is None or key == "parametrizations":
                continue
            yield from walk(child, name if key in wrapped else f"{name}.{key}" if name else key)

    yield from walk(model, "")


def _wraps(module: nn.Module) -> bool:
    return any(cls.__name__ in _WRAPPERS for cls in type(module).__mro__)


def class_name(module: nn.Module) -> str:
    """The name of a module's class, as the user wrote it: FSDP2 makes it ``FSDPNet``, a class of its own."""
    for kind in type(module).__mro__:
        if not any(base.__name__ == "FSDPModule" for base in kind.__mro__):
            return kind.__name__
    return type(module).__name__


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own model inside wrappers."""
    return next(module for name, module, wrapper in named_modules(model) if name == "" and not wrapper)
