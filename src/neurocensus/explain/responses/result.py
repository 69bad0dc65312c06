"""`Responses`: what every unit answered to a few inputs, step by step through a training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ... import tables, text
from ..lives import Lives, Mask, Steps, ascending

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

Reduce: TypeAlias = Literal["max", "mean"]
Floats32 = npt.NDArray[np.float32]

REDUCTIONS: Final[tuple[Reduce, ...]] = get_args(Reduce)


@dataclass(frozen=True, eq=False, repr=False)
class Responses:
    """One number per step, input and unit. Made by `ResponseRecorder.responses`.

    Args:
        model: the model's name.
        steps: of the training, ascending; integers (S,).
        inputs: names of the inputs (I of them).
        layers: by layer, in network order: the value of each unit, or, where it has positions, the `reduce`
            of its values there; float32 (S, I, units). NaN where a value is.
        silent: by layer: whether all values of the unit were exactly zero there, as they were before any
            rounding; bool (S, I, units).
        reduce: "max" or "mean".
        fingerprint: a hash of the inputs; empty: not known.

    Raises:
        TypeError, ValueError: an argument is not as described; the message says which.
    """

    model: str
    steps: Steps
    inputs: tuple[str, ...]
    layers: Mapping[str, Floats32]
    silent: Mapping[str, Mask]
    reduce: Reduce = "max"
    fingerprint: str = ""

    def __post_init__(self) -> None:
        steps = ascending(self.steps)
        if self.reduce not in REDUCTIONS:
            raise ValueError(f"reduce: expected 'max' or 'mean', got {self.reduce!r}")
        if not self.layers or list(self.layers) != list(self.silent):
            raise ValueError(
                f"silent: expected the layers of layers, at least one, got {list(self.silent)} for "
                f"{list(self.layers)}"
            )
        for what, dtype in (("layers", np.float32), ("silent", np.bool_)):
            for name, array in getattr(self, what).items():
                if array.dtype != dtype:
                    raise TypeError(f"{what}[{name!r}]: expected {np.dtype(dtype)}, got {array.dtype}")
                shape = (len(steps), len(self.inputs), *self.layers[name].shape[2:3])
                if array.ndim != 3 or array.shape != shape or not array.shape[2]:
                    raise ValueError(
                        f"{what}[{name!r}]: expected shape {(*shape[:2], 'units')}, got {array.shape}"
                    )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "inputs", tuple(self.inputs))

    @property
    def units(self) -> int:
        """Units of all layers."""
        return sum(int(array.shape[2]) for array in self.layers.values())

    def flat(self, layer: str) -> Mask:
        """Units whose answer to each input was the same at every step: flat lines; bool (units,).

        False for all where there is one step only, and for units with a value that is NaN.

        Raises:
            ValueError: there is no such layer.
        """
        values = self._of(layer, self.layers)
        flat: Mask = (values == values[0]).all(axis=(0, 1)) & np.bool_(len(values) > 1)
        return flat

    def dead(self, layer: str) -> Mask:
        """Whether each unit was zero on every input, by step; bool (S, units).

        Zero on these inputs: a unit may fire on others. `lives_of` looks at a whole data set.

        Raises:
            ValueError: there is no such layer.
        """
        dead: Mask = np.all(self._of(layer, self.silent), axis=1)
        return dead

    def lives(self) -> dict[str, Lives]:
        """The lives of the units on these inputs (see `dead`), by layer."""
        return {name: Lives(self.steps, self.dead(name)) for name in self.layers}

    def take(self, inputs: Sequence[int]) -> Responses:
        """The answers to some of the inputs only, by their positions.

        Raises:
            IndexError: there is none at that position.
        """
        picked = list(inputs)
        return replace(
            self,
            inputs=tuple(self.inputs[index] for index in picked),
            layers={name: values[:, picked] for name, values in self.layers.items()},
            silent={name: silent[:, picked] for name, silent in self.silent.items()},
            fingerprint="",
        )

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row per layer, step, input and unit: their value, and whether it is silent.

        Raises:
            ImportError: pandas is not installed.
        """
        pd = tables.import_pandas()
        frames, names = [], list(self.layers)
        for code, (name, values) in enumerate(self.layers.items()):
            step, index, unit = (axis.ravel() for axis in np.indices(values.shape, dtype=np.int64))
            columns = {
                "layer": pd.Categorical.from_codes(np.full(values.size, code), names),
                "step": self.steps[step],
                "input": np.array(self.inputs, object)[index],
                "unit": unit,
                "value": values.ravel(),
                "silent": self.silent[name].ravel(),
            }
            frames.append(pd.DataFrame(columns))
        whole: pandas.DataFrame = pd.concat(frames, ignore_index=True)
        return whole

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, atomically; `load` gives it back bit for bit.

        Raises:
            FileNotFoundError, ValueError, OSError: as `neurocensus.Audit.save`.
        """
        from .files import write

        write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Responses:
        """Read what `save` wrote, or the folder of a `ResponseRecorder`.

        Raises:
            FileNotFoundError: there is no such file, or nothing recorded in the folder.
            ValueError: a damaged file, or another one.
        """
        from .files import read

        return read(path)

    def _of(self, layer: str, arrays: Mapping[str, Any]) -> Any:
        if layer not in arrays:
            raise ValueError(f"layer: expected one of {list(arrays)}, got {layer!r}")
        return arrays[layer]

    def __repr__(self) -> str:
        return (
            f"<Responses of {text.printable(self.model)}: {text.plural(len(self.steps), 'step')}, "
            f"{text.plural(len(self.inputs), 'input')}, {text.plural(len(self.layers), 'layer')}, "
            f"{text.plural(self.units, 'unit')}>"
        )


def plot_responses(responses: Responses, layer: str, units: Sequence[int] | None = None) -> Figure:
    """Draw the answers of a layer's units: see `neurocensus.plots.responses.plot_responses`."""
    from ...plots.responses import plot_responses as plot

    return plot(responses, layer, units)


def joined(parts: Sequence[Responses]) -> Responses:
    """Responses at different steps as one, in the order of their steps.

    Raises:
        ValueError: none; parts of other models, inputs or layers; a step twice.
    """
    if not parts:
        raise ValueError("parts: expected at least one, got none")
    first, *others = sorted(parts, key=lambda part: int(part.steps[0]))
    for other in others:
        check_alike(first, other)
    return Responses(
        first.model,
        np.concatenate([part.steps for part in (first, *others)]),
        first.inputs,
        {name: np.concatenate([part.layers[name] for part in (first, *others)]) for name in first.layers},
        {name: np.concatenate([part.silent[name] for part in (first, *others)]) for name in first.layers},
        first.reduce,
        first.fingerprint,
    )


def check_alike(first: Responses, other: Responses) -> None:
    """Raise ValueError unless both are of one model and the same inputs, so that they may be joined."""
    for what in ("model", "inputs", "reduce", "fingerprint"):
        expected, got = getattr(first, what), getattr(other, what)
        if expected != got:
            raise ValueError(
                f"{what}: expected {expected!r}, as recorded at step {first.steps[0]}, got {got!r}"
            )
    expected, got = ({name: x.shape[2] for name, x in part.layers.items()} for part in (first, other))
    if expected != got:
        raise ValueError(
            f"layers: expected those recorded at step {first.steps[0]}, with as many units, {expected}, got "
            f"{got} at step {other.steps[0]}"
        )
