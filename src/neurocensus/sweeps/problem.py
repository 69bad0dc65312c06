"""What a network from scratch is trained and judged on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..scratch.inputs import check_data, flatten

if TYPE_CHECKING:
    from ..data import Pair


class Part(NamedTuple):
    """Inputs and labels."""

    x: npt.NDArray[np.float64]
    """(N, inputs)."""
    y: npt.NDArray[np.float64]
    """0 and 1, (N,)."""


class Problem(NamedTuple):
    """A training and a test set."""

    train: Part
    test: Part

    @property
    def inputs(self) -> int:
        """Numbers in an input."""
        return int(self.train.x.shape[1])

    @classmethod
    def of(cls, pair: Pair) -> Problem:
        """Images as rows, see `neurocensus.scratch.flatten`.

        Raises:
            ValueError: one class only in a part, training and test images of unequal size.
        """
        parts = []
        for name, examples in zip(("train", "test"), (pair.train, pair.test), strict=True):
            try:
                parts.append(Part(*check_data(flatten(examples), examples.labels)))
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {error}") from None
        train, test = parts
        if train.x.shape[1] != test.x.shape[1]:
            raise ValueError(
                "test: expected images of the size of the training images, got "
                f"{test.x.shape[1]} numbers an image instead of {train.x.shape[1]}"
            )
        return cls(train, test)
