"""Files of NumPy arrays: written atomically, read with suspicion. They need no torch.

What they say of themselves, and that they are unchanged, is in `neurocensus.sealed`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from . import sealed, storage

Arrays = dict[str, npt.NDArray[Any]]


def write(
    path: str | os.PathLike[str], kind: str, arrays: Mapping[str, npt.NDArray[Any]], body: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON object to one file; readers see the old file or the new one.

    Raises:
        FileNotFoundError, ValueError, OSError: as `storage.atomic`.
    """
    storage.write_bytes(path, dump(kind, arrays, body))


def dump(kind: str, arrays: Mapping[str, npt.NDArray[Any]], body: Mapping[str, Any]) -> bytes:
    """The file that `write` writes; the same bytes for the same content."""
    packed = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = sealed.metadata(kind, body, (_part(name, array) for name, array in packed.items()))
    return storage.in_order(safetensors.numpy.save(packed, metadata))


def read(path: str | os.PathLike[str], kind: str) -> tuple[Arrays, dict[str, Any]]:
    """What `write` wrote.

    Raises:
        FileNotFoundError, ValueError: as `sealed.read`.
    """
    return sealed.read(path, kind, "numpy", _part)


def _part(name: str, array: npt.NDArray[Any]) -> sealed.Part:
    return sealed.Part(name, f"{array.dtype} {array.shape}", array.data)
