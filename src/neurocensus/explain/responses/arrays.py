"""What the units of a model without torch answer to inputs: an *array model*, such as one from scratch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..layers import chosen
from ..lives import Mask
from .result import Floats32


class ArrayProbe:
    """A model with ``activations(inputs)`` and the inputs that it is asked about; see `ResponseRecorder`."""

    def __init__(self, model: Any, inputs: Any, *, layers: Any) -> None:
        self.model, self.name = model, type(model).__name__
        self._inputs = np.array(inputs)
        if self._inputs.ndim < 1:
            raise ValueError(f"inputs: expected an array with an axis of inputs, got one number, {inputs!r}")
        self._layers = layers
        self.examples: int | None = len(self._inputs)
        whole = hashlib.sha256(f"{self._inputs.dtype.str} {self._inputs.shape}".encode())
        whole.update(self._inputs.tobytes())
        self.fingerprint = whole.hexdigest()

    def ask(self, examples: int) -> dict[str, tuple[Floats32, Mask]]:
        """What each layer answers now: values and what is silent, (examples, units), in network order."""
        found: Mapping[str, Any] = self.model.activations(self._inputs.copy())
        out = {}
        for name in chosen(self._layers, list(found)):
            values = np.asarray(found[name])
            if values.ndim != 2 or len(values) != examples or values.dtype.kind != "f":
                raise ValueError(
                    f"model: expected activations to give floating-point arrays ({examples}, units), got "
                    f"{values.dtype} of shape {values.shape} for {name!r}"
                )
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
                out[name] = values.astype(np.float32), values == 0
        return out
