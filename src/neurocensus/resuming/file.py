"""The checkpoint of an audit: one safetensors file with a checksum. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from .. import array_files
from ..result import Audit
from .carried import Saved, packed, unpacked

FORMAT: Final = "neurocensus.checkpoint"


@dataclass(frozen=True)
class Progress:
    """How far an audit has come."""

    identity: Mapping[str, Any]
    """What must be the same to go on."""
    audit: Audit
    """What was counted so far."""
    position: int
    """Batches that were taken from the loader. Those without an example to count are not in the audit's."""
    checksum: int
    """Of these batches; 0 where it is not needed."""
    every: int | None
    """Examples between two checkpoints."""
    done: bool
    """Whether there was nothing left."""
    random: Saved
    """The global random states."""
    carried: Mapping[str, Saved]


def write(path: Path, progress: Progress) -> None:
    """Write a checkpoint; readers see the old one or the new one.

    Raises:
        FileNotFoundError, ValueError, OSError: as `storage.atomic`.
    """
    body = {
        "identity": dict(progress.identity),
        "position": progress.position,
        "checksum": progress.checksum,
        "every": progress.every,
        "done": progress.done,
        "random": progress.random.values,
        "carried": {name: saved.values for name, saved in progress.carried.items()},
    }
    arrays = {
        "audit": np.frombuffer(progress.audit.to_bytes(), np.uint8),
        **packed("random", progress.random),
    }
    for name, saved in progress.carried.items():
        arrays |= packed(f"carried.{name}", saved)
    array_files.write(path, FORMAT, arrays, body)


def read(path: Path) -> Progress:
    """Read what `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, something else, or of a newer format. Nothing is guessed.
    """
    try:
        arrays, body = array_files.read(path, FORMAT)
        return Progress(
            identity=body["identity"],
            audit=Audit.from_bytes(arrays["audit"].tobytes()),
            position=body["position"],
            checksum=body["checksum"],
            every=body["every"],
            done=body["done"],
            random=unpacked("random", body["random"], arrays),
            carried={
                name: unpacked(f"carried.{name}", values, arrays) for name, values in body["carried"].items()
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        words = str(error) if isinstance(error, ValueError) else f"{path}: {error!r}"
        raise ValueError(
            f"checkpoint: {words}. Put back a copy of this file if you have one, or delete it to begin anew"
        ) from error
