"""The published procedure, restated: what an audit cost before.

Source: `analyse_for_deactivation` and `find_true_deactivation_results` in the appendix of the thesis that
defines neural network utilization (see the project's README).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def dead_neurons(activations: npt.NDArray[np.float32]) -> list[int]:
    """Neurons of a dense layer that give 0 for every example; `activations` is (example, neuron).

    All activations are in memory, and each zero is one update of a dictionary of suspects.
    """
    suspects: dict[tuple[str, int, int], int] = {}
    for example in activations:
        for neuron in np.where(example == 0)[0]:
            suspects["dnn", 0, neuron] = suspects.get(("dnn", 0, neuron), 0) + 1
    return [neuron for (_, _, neuron), zeros in suspects.items() if zeros == len(activations)]
