"""Networks of equal depth, trained as one batched computation.

Full-batch gradient descent changes the first layer's weights by sums over the training inputs only: after
any number of updates they are ``W + shift.T @ x``, with one row of ``shift`` for each of the m examples. All
that training needs of them is what they make of the inputs, ``x @ W.T + (x @ x.T) @ shift``. So it works on
the m x m Gram matrix of the inputs, 209 wide where an image has 12288 numbers, and the weights are recovered
at the end.

Layers that are narrower than the stack's widest are padded with zeros. A unit whose incoming and outgoing
weights are all zero stays so: it gives 0, and its gradient is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..scratch import Network
from ..scratch.network import Array


class Stack:
    """Networks under training, each with its own learning rate and its own frozen layers.

    Args:
        networks: at least one, all with the same number of layers and of inputs. They are not changed.
        x: training inputs, (m, inputs).
        y: labels 0 and 1, (m,).
        learning_rates: one per network.
        trained: does training change a layer? bool (networks, layers).
        dtype: of the computation; the weights that come out are float64 in any case.
        device: where to compute.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        x: Array,
        y: Array,
        learning_rates: Sequence[float],
        trained: npt.NDArray[np.bool_],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        def tensor(array: Any) -> Tensor:
            return torch.as_tensor(array).to(device, dtype)

        layers = len(networks[0].weights)
        self._networks, self._x = list(networks), x
        self._y = tensor(y)[:, None]
        self._rates = tensor(np.asarray(learning_rates) / len(x))[:, None, None]
        self._trained = [tensor(column)[:, None, None] for column in trained.T]
        self._all = [bool(column.all()) for column in trained.T]
        self._lowest = int(np.flatnonzero(trained.any(axis=0)).min(initial=layers))
        self._gram = tensor(x @ x.T).expand(len(networks), -1, -1)
        self._began = tensor(_padded([x @ network.weights[0].T for network in networks]))
        self._shift = torch.zeros_like(self._began)
        self._weights = [
            tensor(_padded([network.weights[layer] for network in networks])) for layer in range(1, layers)
        ]
        self._biases = [
            tensor(_padded([network.biases[layer][None] for network in networks])) for layer in range(layers)
        ]

    @property
    def values(self) -> int:
        """Activations of the widest layer, of all networks on all examples."""
        return max(bias.shape[0] * len(self._y) * bias.shape[2] for bias in self._biases)

    def step(self) -> None:
        """One update of all networks."""
        *outputs, logits = self._forward()
        slope = (torch.sigmoid(logits) - self._y) * self._rates
        for layer in reversed(range(self._lowest, len(self._biases))):
            below = None
            if layer > self._lowest:  # through the weights as they were, and the ReLU before them
                below = torch.bmm(slope, self._weights[layer - 1]).mul_(outputs[layer - 1] > 0)
            if not self._all[layer]:
                slope = slope * self._trained[layer]
            if layer:
                self._weights[layer - 1] -= torch.bmm(slope.mT, outputs[layer - 1])
            else:
                self._shift -= slope
            self._biases[layer] -= slope.sum(1, keepdim=True)
            if below is not None:
                slope = below

    def costs(self) -> Array:
        """The mean cross-entropy of each network, float64; see `neurocensus.scratch.descent.cost`."""
        logits = self._forward()[-1]
        costs: Array = (functional.softplus(logits) - self._y * logits).mean((1, 2)).double().cpu().numpy()
        return costs

    def drop(self, index: int) -> None:
        """Give up a network: from now on it is all zeros."""
        self._rates[index] = 0
        for values in (self._began, self._shift, *self._weights, *self._biases):
            values[index] = 0

    def network(self, index: int) -> Network:
        """A network as it is now."""
        start = self._networks[index]
        shift = self._shift[index].double().cpu().numpy()[:, : start.widths[1]]
        weights = [start.weights[0] + shift.T @ self._x]
        for layer, stacked in enumerate(self._weights, 1):
            units, inputs = start.weights[layer].shape
            weights.append(stacked[index].double().cpu().numpy()[:units, :inputs])
        biases = [
            stacked[index, 0].double().cpu().numpy()[: len(bias)]
            for stacked, bias in zip(self._biases, start.biases, strict=True)
        ]
        return Network(weights, biases)

    def state(self) -> dict[str, Tensor]:
        """All that training changes, on the host; see `restore`."""
        return {name: values.cpu().contiguous() for name, values in self._changing().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, values in self._changing().items():
            values.copy_(state[name])

    def _changing(self) -> dict[str, Tensor]:
        out = {"shift": self._shift, "began": self._began, "rates": self._rates}
        out |= {f"weight{layer}": values for layer, values in enumerate(self._weights, 1)}
        return out | {f"bias{layer}": values for layer, values in enumerate(self._biases)}

    def _forward(self) -> list[Tensor]:
        """What each hidden layer gives, and the sums before the output's sigmoid, (networks, m, units)."""
        values = torch.baddbmm(self._began, self._gram, self._shift).add_(self._biases[0])
        outputs = [values]
        for weight, bias in zip(self._weights, self._biases[1:], strict=True):
            outputs.append(torch.baddbmm(bias, outputs[-1].relu_(), weight.mT))
        return outputs


def _padded(arrays: Sequence[Array]) -> Array:
    """Arrays of two axes as one stack, with zeros where they are smaller than the largest."""
    shape = np.max([array.shape for array in arrays], axis=0)
    out = np.zeros((len(arrays), *shape))
    for place, array in zip(out, arrays, strict=True):
        place[: array.shape[0], : array.shape[1]] = array
    return out
