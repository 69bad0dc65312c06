"""What must be the same for an audit to go on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.indexed import Indexed
from ..hashing import Digest
from ..result import running_versions

_SHOWN = 200  # characters of a value in a message


def identity(model: nn.Module, loader: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All of it, as JSON: model, data, settings, versions, and which process of how many this is.

    What a loader gives is known beforehand where it is one of ours (`Indexed`); others are looked at as they
    come.
    """
    data = loader.identity() if isinstance(loader, Indexed) else {"loader": described(loader)}
    settings = dict(settings) | {"device": str(settings["device"]).partition(":")[0]}  # not which of several
    return {
        **_of_model(model),
        **{f"data, {name}": value for name, value in data.items()},
        **{name: described(value) for name, value in settings.items()},
        **{f"version of {name}": version for name, version in running_versions().items() if name != "python"},
        "process": _process(),
    }


def _process() -> str:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return f"{torch.distributed.get_rank()} of {torch.distributed.get_world_size()}"
    return "0 of 1"


def _of_model(model: nn.Module) -> dict[str, str]:
    """A model's class, and hashes of its modules and of its parameters and buffers, as they are here."""
    structure, weights = Digest("structure"), Digest("weights")
    for name, module in model.named_modules():
        settings = module.extra_repr() if type(module).__module__.startswith("torch.nn.") else ""
        structure.add(f"{name} {type(module).__qualname__}({settings})")
    weights.add_tensors(_tensors(model))
    return {
        "model": type(model).__qualname__,
        "model's modules": structure.hex()[:16],
        "model's weights": weights.hex()[:16],
    }


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for group in (model.named_parameters(), model.named_buffers()):
        for name, tensor in group:
            local = getattr(tensor, "to_local", None)  # of a sharded one, what lies here
            yield name, tensor if local is None else local()


def described(value: Any) -> Any:
    """An argument as JSON: the same for the same one in another process. Functions go by their names."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, re.Pattern):
        return f"/{value.pattern}/ ({value.flags})"
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [described(item) for item in value]
    named = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def check(path: Path, had: Mapping[str, Any], have: Mapping[str, Any]) -> None:
    """Raise ValueError with all that differs between what the file at `path` is of and this audit."""
    differing = [
        f"  {name}: {_brief(had.get(name))} there, {_brief(have.get(name))} here"
        for name in dict.fromkeys([*have, *had])
        if had.get(name) != have.get(name)
    ]
    if differing:
        raise ValueError(
            f"resume: {path} is of another audit; give the same model, data and settings to go on with it, "
            "or delete it to begin anew:\n" + "\n".join(differing)
        )


def _brief(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
