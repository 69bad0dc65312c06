"""Train many networks together: checked, with costs, divergence, progress and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import array_files
from ..arguments import integer
from ..devices import available
from ..hashing import Digest
from ..scratch import Descent, Network
from ..scratch.descent import RECORD_EVERY, check_frozen, check_rate, divergence
from ..scratch.inputs import check_data
from ..scratch.network import Array
from ..threads import torch_threads
from .stack import Stack

KIND = "neurocensus sweep"
DTYPES = {"float64": torch.float64, "float32": torch.float32}
CHECKPOINT_SECONDS = 30.0
FEW_VALUES = 100_000
"""Activations of a layer below which a second thread gains nothing, and loses much where CPUs are busy: the
threads wait for one another several times a step. (50 networks on 62 images: 1.3 ms a step with one thread,
0.8 to 1.5 ms with two; beside a busy process 1.4 and 13 ms.)"""


class Trained(NamedTuple):
    """A network after training."""

    network: Network | None
    """None where the cost was no longer finite."""
    descent: Descent


def train_together(
    networks: Sequence[Network],
    x: Any,
    y: Any,
    *,
    learning_rates: Sequence[float],
    iterations: int = 2500,
    frozen: Sequence[Collection[str]] | None = None,
    record_every: int = RECORD_EVERY,
    dtype: str = "float64",
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Callable[[int], None] | None = None,
) -> list[Trained]:
    """Train each network as `neurocensus.scratch.fit` would, all of them in one batched computation.

    In exact arithmetic the result is the same as one by one; in float64 it differs by rounding, which
    gradient descent may amplify where the learning rate is near the one at which it diverges.

    Args:
        networks: with the same number of layers and inputs each; not changed.
        x, y: see `neurocensus.scratch.fit`.
        learning_rates: one for each network.
        iterations, record_every: for all.
        frozen: for each network, the names of layers to leave as they are; None: all are trained.
        dtype: "float64" or "float32", of the computation.
        device: where torch names it.
        checkpoint: a file to go on from and to write now and then; it is for the caller to delete.
        progress: called with the number of updates done.

    Raises:
        TypeError, ValueError: as `neurocensus.scratch.fit`; networks of unequal depth or inputs, lists of
            unequal length, an unknown dtype or device.
    """
    x, y = check_data(x, y)
    iterations = integer("iterations", iterations, 0)
    record_every = integer("record_every", record_every, 1)
    stack = _stack(networks, x, y, learning_rates, frozen, dtype, device)
    key = fingerprint(networks, x, y, learning_rates, frozen, iterations, record_every, dtype)
    start, taken, costs = _restored(stack, checkpoint, key)
    saved = time.monotonic()
    with torch_threads(1 if stack.values < FEW_VALUES else None):
        for iteration in range(start, iterations + 1):
            if (iteration % record_every == 0 or iteration == iterations) and iteration not in taken:
                taken.append(iteration)
                costs.append(stack.costs())
                for index in np.flatnonzero(~np.isfinite(costs[-1])):
                    stack.drop(int(index))  # it would only slow the others down
                if progress is not None:
                    progress(iteration)
            if checkpoint is not None and time.monotonic() - saved > checkpoint_seconds:
                _save(stack, checkpoint, key, iteration, taken, costs)
                saved = time.monotonic()
            if iteration < iterations:
                stack.step()
    return [_trained(stack, index, taken, costs, y) for index in range(len(networks))]


def _stack(
    networks: Sequence[Network],
    x: Array,
    y: Array,
    learning_rates: Sequence[float],
    frozen: Sequence[Collection[str]] | None,
    dtype: str,
    device: str | torch.device,
) -> Stack:
    if not networks:
        raise ValueError("networks: expected at least one, got none")
    shapes = {(network.widths[0], len(network.weights)) for network in networks}
    if len(shapes) > 1 or shapes.pop()[0] != x.shape[1]:
        raise ValueError(
            f"networks: expected {x.shape[1]} inputs and one number of layers, got widths "
            f"{sorted({network.widths for network in networks})[:5]}"
        )
    frozen = [()] * len(networks) if frozen is None else frozen
    for name, values in (("learning_rates", learning_rates), ("frozen", frozen)):
        if len(values) != len(networks):
            raise ValueError(f"{name}: expected {len(networks)}, one for each network, got {len(values)}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: expected {' or '.join(DTYPES)}, got {dtype!r}")
    trained = [
        [name not in check_frozen(network, names) for name in network.layer_names]
        for network, names in zip(networks, frozen, strict=True)
    ]
    return Stack(
        networks,
        x,
        y,
        [check_rate(rate) for rate in learning_rates],
        np.array(trained),
        dtype=DTYPES[dtype],
        device=available(device),
    )


def _trained(stack: Stack, index: int, taken: Sequence[int], costs: Sequence[Array], y: Array) -> Trained:
    own = [float(row[index]) for row in costs]
    finite = [math.isfinite(value) for value in own]
    if all(finite):
        return Trained(stack.network(index), Descent(tuple(taken), tuple(own), divergence(taken, own, y)))
    end = finite.index(False) + 1
    return Trained(None, Descent(tuple(taken[:end]), tuple(own[:end]), taken[end - 1]))


def fingerprint(networks: Sequence[Network], *settings: Any) -> str:
    """The same for the same networks and settings: arrays by their content, all else by its text."""
    digest = Digest("neurocensus.sweep 2")
    for network in networks:
        digest.add_tensors((name, torch.as_tensor(array)) for name, array in network.to_arrays().items())
    for setting in settings:
        for item in setting if isinstance(setting, (tuple, list)) else [setting]:
            if isinstance(item, np.ndarray):
                digest.add_tensors([("", torch.as_tensor(item))])
            else:
                digest.add(repr(sorted(item) if isinstance(item, (set, frozenset)) else item))
    return digest.hex()


def _save(
    stack: Stack, path: Path, key: str, iteration: int, taken: Sequence[int], costs: Sequence[Array]
) -> None:
    arrays = {name: tensor.numpy() for name, tensor in stack.state().items()}
    arrays |= {"taken": np.array(taken), "costs": np.array(costs)}
    array_files.write(path, KIND, arrays, {"key": key, "iteration": iteration})


def _restored(stack: Stack, path: Path | None, key: str) -> tuple[int, list[int], list[Array]]:
    """Where to begin; the stack is put there. A file that is damaged or of another training is not used."""
    if path is None or not path.exists():
        return 0, [], []
    try:
        arrays, body = array_files.read(path, KIND)
    except ValueError:
        return 0, [], []
    if body["key"] != key:
        return 0, [], []
    stack.restore({name: torch.from_numpy(array) for name, array in arrays.items()})
    return body["iteration"], arrays["taken"].tolist(), list(arrays["costs"])
