"""`TopExamples`: which examples activate each unit of a model most."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ... import array_files, storage, text

FORMAT: Final = "neurocensus.top"


@dataclass(frozen=True, eq=False)
class LayerTop:
    """The k examples that activate each unit of a layer most, the strongest first."""

    name: str
    """As in an audit: dotted module path, perhaps with function name and call suffix; may be any text."""
    kind: str
    """Class name of the module ("ReLU"), or name of the function ("relu")."""
    values: npt.NDArray[np.float64]
    """What the unit gave: its largest finite value there. (units, k), -inf where there is no such example."""
    examples: npt.NDArray[np.int64]
    """Indices in the order in which the examples came, from 0. (units, k), -1 where there is none."""

    def __post_init__(self) -> None:
        values, examples = self.values, self.examples
        if values.ndim != 2 or values.shape != examples.shape or 0 in values.shape:
            shapes = f"{values.shape} and {examples.shape}"
            raise ValueError(f"values, examples: expected both of shape (units, k), got {shapes}")
        if values.dtype != np.float64 or examples.dtype != np.int64:
            raise TypeError(
                f"values, examples: expected float64 and int64, got {values.dtype} and {examples.dtype}"
            )

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.values)

    @property
    def k(self) -> int:
        """How many examples there are at most for each unit."""
        return len(self.values[0])

    @property
    def never_fired(self) -> npt.NDArray[np.bool_]:
        """Units whose largest value is exactly 0, bool (units,): behind a ReLU these are the dead ones."""
        out: npt.NDArray[np.bool_] = self.values[:, 0] == 0
        return out

    @property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Units with no finite value at all, bool (units,)."""
        out: npt.NDArray[np.bool_] = self.values[:, 0] == -np.inf
        return out

    def __repr__(self) -> str:
        return f"LayerTop({text.printable(self.name)!r}, units={self.units}, k={self.k})"


@dataclass(frozen=True, eq=False)
class TopExamples:
    """The examples that activate each unit of a model most, layer by layer.

    Args:
        layers: by name, in network order, all with `k` examples per unit.
        model: class name of the model.
        examples: how many examples were seen.
    """

    layers: Mapping[str, LayerTop]
    model: str
    examples: int

    def __post_init__(self) -> None:
        found = {layer.k for layer in self.layers.values()}
        if len(found) != 1:
            raise ValueError(
                f"layers: expected one layer or more, all of the same k, got k {sorted(found) or 'of none'}"
            )

    @property
    def k(self) -> int:
        """How many examples there are at most for each unit."""
        return next(iter(self.layers.values())).k

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, atomically; `load` reads it.

        Raises:
            FileNotFoundError, ValueError, OSError: as `neurocensus.storage.atomic`.
        """
        storage.write_bytes(path, self.dump())

    def dump(self) -> bytes:
        """The file that `save` writes; the same bytes for the same content."""
        return array_files.dump(FORMAT, *self.packed())

    def packed(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Its arrays by name, and the rest as JSON; see `unpacked`."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        layers = []
        for index, layer in enumerate(self.layers.values()):  # numbered, so that a name may be anything
            arrays[f"layers.{index}.values"] = layer.values
            arrays[f"layers.{index}.examples"] = layer.examples
            layers.append({"name": layer.name, "kind": layer.kind})
        return arrays, {"model": self.model, "examples": self.examples, "layers": layers}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TopExamples:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, something else, or of a newer format.
        """
        arrays, body = array_files.read(path, FORMAT)
        try:
            return cls.unpacked(arrays, body)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected what TopExamples.save wrote, got: {error!r}") from error

    @classmethod
    def unpacked(cls, arrays: Mapping[str, npt.NDArray[Any]], body: Mapping[str, Any]) -> TopExamples:
        """What `packed` took apart.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        layers = {
            entry["name"]: LayerTop(
                values=arrays[f"layers.{index}.values"], examples=arrays[f"layers.{index}.examples"], **entry
            )
            for index, entry in enumerate(body["layers"])
        }
        return cls(layers, model=body["model"], examples=body["examples"])

    def __repr__(self) -> str:
        units = sum(layer.units for layer in self.layers.values())
        return (
            f"TopExamples({text.printable(self.model)}: {text.plural(len(self.layers), 'layer')}, "
            f"{text.plural(units, 'unit')}, k={self.k}, {text.plural(self.examples, 'example')})"
        )
