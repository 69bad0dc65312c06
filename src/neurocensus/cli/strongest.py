"""The strongest examples of ``audit --top``, found in parts: before a kill, in other processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..resuming.carried import Saved

if TYPE_CHECKING:
    from ..explain import TopExamples, TopRecorder

Place = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]
"""From the numbers that examples have here to those that they have in the whole."""


class Strongest:
    """What a recorder finds, on top of what was found before. See `neurocensus.resuming.carried.Carried`.

    Args:
        recorder: has seen nothing yet.
    """

    def __init__(self, recorder: TopRecorder) -> None:
        self.recorder: TopRecorder | None = recorder
        self._before: TopExamples | None = None

    @property
    def found(self) -> TopExamples | None:
        """All of it; None if nothing was seen."""
        from ..explain.top.joining import joined

        if self.recorder is None or not self.recorder.points():
            return self._before
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of layers left out: the audit has said so
            now = self.recorder.compute()
        return now if self._before is None else joined(self._before, now)

    def save(self) -> Saved:
        """What was found so far."""
        return self.placed(lambda examples: examples)

    def placed(self, place: Place) -> Saved:
        """The same, with other numbers for the examples."""
        found = self.found
        if found is None:
            return Saved(None)
        layers = {
            name: replace(layer, examples=np.where(layer.examples < 0, -1, place(layer.examples)))
            for name, layer in found.layers.items()
        }
        arrays, values = replace(found, layers=layers).packed()
        return Saved(values, arrays)

    def restore(self, *parts: Saved) -> None:
        """Become what all parts together are; of what the recorder has seen so far no more is heard."""
        from ..explain import TopExamples
        from ..explain.top.joining import joined

        if self.recorder is not None and self.recorder.points():
            self.recorder = None
        found = [TopExamples.unpacked(part.arrays, part.values) for part in parts if part.values is not None]
        self._before = joined(*found) if found else None
