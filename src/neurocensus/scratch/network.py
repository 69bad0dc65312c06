"""`Network`: dense layers in NumPy, and what they do with an input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import array_files
from ..arguments import integer

Array: TypeAlias = npt.NDArray[np.float64]
KIND = "neurocensus network"


class Network:
    """Dense layers, float64: ReLU after each but the last, whose one unit a sigmoid makes a probability.

    Args:
        weights: of each layer, (units, inputs).
        biases: of each layer, (units,).

    Raises:
        ValueError: no layer, shapes that do not fit one another, an output of more than one unit.
    """

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        self.weights = [np.array(weight, np.float64) for weight in weights]
        self.biases = [np.array(bias, np.float64) for bias in biases]
        _check(self.weights, self.biases)

    @classmethod
    def create(cls, widths: Sequence[int], *, seed: int = 1) -> Network:
        """A network before training: weights from a normal distribution over the root of a unit's inputs.

        So that a unit's sum is about as large as one of its inputs, whatever their number. Biases are 0. The
        numbers are drawn layer by layer from `numpy.random.RandomState`, whose stream never changes. The
        same scheme and the same seed as in the exercise that the thesis modelled its network on.

        Args:
            widths: inputs, units of each hidden layer, 1: ``(12288, 20, 7, 5, 1)``.
            seed: 0 or more.

        Raises:
            TypeError: widths or a seed that are no integers.
            ValueError: fewer than two widths, one below 1, a last one other than 1.
        """
        widths = check_widths(widths)
        random = np.random.RandomState(integer("seed", seed, 0))
        pairs = list(pairwise(widths))
        weights = [random.standard_normal((units, inputs)) / np.sqrt(inputs) for inputs, units in pairs]
        return cls(weights, [np.zeros(units) for _, units in pairs])

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, units of each hidden layer, 1."""
        return (self.weights[0].shape[1], *map(len, self.weights))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """``("hidden1", "hidden2", ..., "output")``."""
        return (*(f"hidden{number}" for number in range(1, len(self.weights))), "output")

    @property
    def kinds(self) -> dict[str, str]:
        """What each layer's activations come from: ReLU, or at the end the sigmoid."""
        return dict.fromkeys(self.layer_names, "relu") | {"output": "sigmoid"}

    def logits(self, x: Any) -> Array:
        """The sums that the output's sigmoid is taken of.

        Args:
            x: (N, inputs).

        Returns:
            float64 (N,).
        """
        return self.forward(x)[-1][:, 0]

    def predict(self, x: Any) -> Array:
        """Probabilities of class 1, float64 (N,), of inputs (N, inputs)."""
        return sigmoid(self.logits(x))

    def activations(self, x: Any) -> dict[str, Array]:
        """What each layer gives, (N, units), in the network's order; the output's are probabilities."""
        _, *hidden, logits = self.forward(x)
        return dict(zip(self.layer_names, (*hidden, sigmoid(logits)), strict=True))

    def forward(self, x: Any) -> list[Array]:
        """The input, what each hidden layer makes of it, and the output's sums before the sigmoid.

        Raises:
            ValueError: `x` is not (N, inputs).
        """
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != self.widths[0]:
            raise ValueError(
                f"x: expected shape (N, {self.widths[0]}), got {x.shape}; neurocensus.scratch.flatten makes "
                "rows of images"
            )
        outputs = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            outputs.append(np.maximum(outputs[-1] @ weight.T + bias, 0))
        outputs.append(outputs[-1] @ self.weights[-1].T + self.biases[-1])
        return outputs

    def copy(self) -> Network:
        """A network of its own with the same weights."""
        return Network(self.weights, self.biases)

    def to_arrays(self) -> dict[str, Array]:
        """Weights and biases by name, ``hidden1.weight`` and so on; see `from_arrays`."""
        out = {}
        for name, weight, bias in zip(self.layer_names, self.weights, self.biases, strict=True):
            out[f"{name}.weight"], out[f"{name}.bias"] = weight, bias
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Network:
        """The network whose `to_arrays` these are."""
        hidden = sum(name.endswith(".weight") for name in arrays) - 1
        names = (*(f"hidden{number}" for number in range(1, hidden + 1)), "output")
        wanted = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        if wanted != set(arrays):
            raise ValueError(
                f"arrays: expected the weights and biases of hidden1, hidden2, ... and output, got "
                f"{', '.join(sorted(arrays)) or 'none'}"
            )
        return cls([arrays[f"{name}.weight"] for name in names], [arrays[f"{name}.bias"] for name in names])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to a safetensors file, atomically.

        Raises:
            FileNotFoundError, ValueError, OSError: as `neurocensus.storage.atomic`.
        """
        array_files.write(path, KIND, self.to_arrays(), {"widths": self.widths})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """The network that `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not such a file, or damaged.
        """
        arrays, _ = array_files.read(path, KIND)
        return cls.from_arrays(arrays)

    def __repr__(self) -> str:
        return f"Network({'-'.join(map(str, self.widths))})"


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-logits)), without overflow on either side."""
    out: Array = np.exp(-np.logaddexp(0, -logits))
    return out


def check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """The widths of a network as integers; see `Network.create` for the errors."""
    if not isinstance(widths, Sequence) or isinstance(widths, (str, bytes)):
        raise TypeError(f"widths: expected integers such as (12288, 20, 7, 5, 1), got {widths!r}")
    out = tuple(integer("widths", width) for width in widths)
    if len(out) < 2 or min(out) < 1:
        raise ValueError(
            f"widths: expected the inputs and the units of each layer, all at least 1, got {out}; leave a "
            "layer out instead of giving it no units"
        )
    if out[-1] != 1:
        raise ValueError(f"widths: expected 1 at the end, the probability of class 1, got {out}")
    return out


def _check(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    shapes = [(weight.shape, bias.shape) for weight, bias in zip(weights, biases, strict=False)]
    good = bool(shapes) and len(weights) == len(biases)
    good = good and all(len(w) == 2 and w[0] >= 1 <= w[1] and b == (w[0],) for w, b in shapes)
    good = good and all(below[0][0] == above[0][1] for below, above in pairwise(shapes))
    if not good:
        raise ValueError(
            "weights, biases: expected (units, inputs) and (units,) of each layer, each with as many inputs "
            f"as the layer before has units, got {[w.shape for w in weights]} and {[b.shape for b in biases]}"
        )
    if len(weights[-1]) != 1:
        raise ValueError(f"weights: expected an output of one unit, got {len(weights[-1])}")
