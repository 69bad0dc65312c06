"""What must be the same for a training to go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .settings import Settings

if TYPE_CHECKING:
    from ..data import Examples


def identity(
    settings: Settings,
    device: torch.device,
    train: Examples,
    validation: Examples,
    augment: object,
    trainable: list[str],
) -> dict[str, Any]:
    """Settings, data, augmentation and names of the trained parameters, as JSON.

    Not among them: the number of epochs, which may grow, and which of several GPUs it is.
    """
    chosen = asdict(settings) | {"device": device.type}
    del chosen["epochs"]
    return {
        **{f"settings.{name}": value for name, value in chosen.items()},
        "train": train.fingerprint,
        "validation": validation.fingerprint,
        "augment": _described(augment),
        "trained parameters": trainable,
    }


def check(path: Path, had: Mapping[str, Any], have: Mapping[str, Any]) -> None:
    """Raise ValueError with all that differs between the checkpoint at `path` and this call."""
    differing = [
        f"  {name}: the checkpoint has {_brief(had.get(name))}, this call {_brief(have.get(name))}"
        for name in dict.fromkeys([*have, *had])
        if had.get(name) != have.get(name)
    ]
    if differing:
        raise ValueError(
            f"folder: {path.parent} holds a training with other settings or data; give the same ones to go "
            "on with it, or another folder:\n" + "\n".join(differing)
        )


def _described(augment: object) -> str | None:
    """A text that is the same for the same augmentation in another process."""
    if augment is None:
        return None
    if isinstance(augment, nn.Module):
        return re.sub(r" at 0x[0-9a-f]+", "", repr(augment))
    named = augment if hasattr(augment, "__qualname__") else type(augment)
    return f"{named.__module__}.{named.__qualname__}"


def _brief(value: object, limit: int = 300) -> str:
    if isinstance(value, list):
        value = f"{len(value)}: {', '.join(map(str, value))}"
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
