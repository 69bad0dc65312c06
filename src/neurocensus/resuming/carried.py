"""What goes along with an audit and has to be saved and joined with it: accuracy, the strongest examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Saved(NamedTuple):
    """All that there is of it."""

    values: Any
    """As JSON."""
    arrays: Mapping[str, npt.NDArray[Any]] = {}


class Carried(Protocol):
    """It changes with each batch."""

    def save(self) -> Saved:
        """What it is now. Changes nothing."""
        ...

    def restore(self, *parts: Saved) -> None:
        """Become what all parts together are, and nothing else; later batches come on top of that."""
        ...


def packed(group: str, saved: Saved) -> dict[str, npt.NDArray[Any]]:
    """The arrays under names of their own."""
    return {f"{group}.{name}": np.asarray(array) for name, array in saved.arrays.items()}


def unpacked(group: str, values: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Saved:
    """What `packed` took apart."""
    start = f"{group}."
    own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
    return Saved(values, own)
