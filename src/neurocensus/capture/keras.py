"""The layers of a Keras model as torch sees them: modules below the model, under their Keras names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from torch import nn

_PARAMETERS: Final = "_torch_params"
"""Where Keras keeps the parameters of a layer for torch."""


@contextmanager
def as_torch_modules(model: nn.Module) -> Iterator[None]:
    """While this lasts, all layers of a Keras model are its sub-modules, named as Keras names them.

    On the torch backend a Keras layer is an `nn.Module`, but Keras keeps the layers of a model in lists of
    its own, where `named_modules` finds few of them. Layers of one name in one model are told apart by
    ``name_2``, ``name_3``. The model's state dict is another one meanwhile. Other models are left alone.
    """
    if not _is_keras(model):
        yield
        return
    before: dict[Any, tuple[Any, list[str]]] = {}
    _join(model, before)
    try:
        yield
    finally:
        for layer, (modules, moved) in before.items():
            layer.__dict__["_modules"] = modules
            for name in moved:
                del layer.__dict__[name]


def _join(layer: Any, before: dict[Any, tuple[Any, list[str]]]) -> None:
    """Give `layer` and all below it their sub-modules, and note in `before` what they had."""
    if layer in before:
        return
    modules = layer.__dict__["_modules"]
    joined: dict[str, nn.Module | None] = {}
    for below in layer._layers:
        joined[_free(below.name.replace(".", "_"), joined)] = below
    # Parameters in a sub-module would make a container of a layer; layers of Keras are here already, or are
    # run without being called.
    kept = {name: m for name, m in modules.items() if name != _PARAMETERS and not _is_keras(m)}
    joined.update({_free(name, joined): module for name, module in kept.items()})
    moved = [name for name, module in modules.items() if joined.get(name) is not module]
    before[layer] = modules, moved
    layer.__dict__.update({name: modules[name] for name in moved})  # they stay attributes
    layer.__dict__["_modules"] = joined
    for below in layer._layers:
        _join(below, before)


def _is_keras(module: Any) -> bool:
    """Whether it is a Keras layer; Keras need not be imported to tell."""
    return any(
        cls.__module__.startswith("keras.") and cls.__name__ == "Layer" for cls in type(module).__mro__
    )


def _free(name: str, taken: dict[str, nn.Module | None]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
