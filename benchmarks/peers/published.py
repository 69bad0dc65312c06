"""The published procedures, restated: what an audit cost before.

Source: `analyse_for_deactivation`, `find_true_deactivation_results`, `analyse_for_activation_range` and
`plot_activation_spectrum` in the appendix of the thesis that defines neural network utilization (see the
project's README). They take all activations of a layer in one array, its units on the last axis, and pass
through it once for the dead units, once for the range and once for the spectrum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def dead_units(activations: Floats) -> list[int]:
    """Units that give 0 for every example; `activations` is (example, unit) or (example, *positions, unit).

    Each zero of a dense layer, and each channel of an image that is zero everywhere, is one update of a
    dictionary of suspects.
    """
    suspects: dict[tuple[str, int, int], int] = {}
    for example in activations:
        if example.ndim > 1:
            for channel in range(example.shape[-1]):
                if np.count_nonzero(example[..., channel]) == 0:
                    suspects["cnn", 0, channel] = suspects.get(("cnn", 0, channel), 0) + 1
        else:
            for neuron in np.where(example == 0)[0]:
                suspects["dnn", 0, neuron] = suspects.get(("dnn", 0, neuron), 0) + 1
    return [int(unit) for (_, _, unit), zeros in suspects.items() if zeros == len(activations)]


def activation_range(activations: Floats) -> float:
    """The largest activation of the layer, or 0, example by example."""
    largest = 0.0
    for example in activations:
        found = float(np.amax(example))
        if largest < found:
            largest = found
    return largest


def spectrum_maxima(activations: Floats) -> Floats:
    """The maxima that are drawn as a histogram.

    Of a dense layer one per unit. Of feature maps the published code reduces the last of the remaining axes,
    which is the channels: one per place of the image, not one per unit.
    """
    maxima: Floats = np.amax(activations, axis=0)
    return np.amax(maxima, axis=-1) if maxima.ndim > 1 else maxima
