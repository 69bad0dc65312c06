"""The state of a training in its folder: saved, and brought back bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from ..result import running_versions
from . import checkpoint, files, identity, randomness
from .history import History, decoded, encoded

STATE: Final = "neurocensus.checkpoint"
WEIGHTS: Final = "neurocensus.weights"


class Position(NamedTuple):
    """How far a training is.

    rows: of the history, one per finished epoch.
    step: steps done in the epoch after those.
    seconds: spent in that epoch.
    records: loss and right answers of its steps, float32 (2, step).
    """

    rows: list[dict[str, float]]
    step: int
    seconds: float
    records: Tensor

    @property
    def best(self) -> dict[str, float]:
        """Epoch and loss of the lowest validation loss; empty before the first epoch is done."""
        return _mark(History(tuple(self.rows)).best) if self.rows else {}

    @property
    def last(self) -> dict[str, float]:
        """Epoch and validation loss of the last epoch done; empty before the first."""
        return _mark(self.rows[-1]) if self.rows else {}

    @property
    def is_best(self) -> bool:
        """Whether the model's weights now are those of the best epoch."""
        return bool(self.rows) and self.step == 0 and self.best == self.last


class Store:
    """Reads and writes the files of tensors in `folder`.

    Args:
        identity: what must be the same to go on, as JSON.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        identity: Mapping[str, Any],
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.device, self.identity = device, dict(identity)
        self._best: dict[str, Tensor] = {}  # the best weights, while they are in no file of their own
        self._best_written: dict[str, float] | None = None  # whose weights are in that file

    def keep_best(self) -> None:
        """Keep the model's weights, the best so far, for the next checkpoint."""
        self._best = {name: tensor.detach().clone() for name, tensor in self._weights().items()}

    def save(self, position: Position) -> None:
        """Write the checkpoint: position, weights, optimizer, random states. Then the best weights, if new.

        Wherever this is cut short, `load` finds all of it: the checkpoint holds the best weights too, unless
        they are its own, or in their file already.

        Raises:
            OSError: the disk is full, for example. The last checkpoint is as it was.
        """
        random, values = randomness.states(self.device)
        groups = {
            "model": self._weights(),
            "optimizer": _flat(self.optimizer),
            "random": random,
            "position": {"records": position.records},
            "best": {} if position.is_best else self._best,
        }
        tensors = {f"{group}.{name}": t for group, members in groups.items() for name, t in members.items()}
        body = {
            "identity": self.identity,
            "rows": [encoded(row) for row in position.rows],
            "step": position.step,
            "seconds": position.seconds,
            "random": values,
            "versions": running_versions(),
        }
        self._write(files.CHECKPOINT, STATE, tensors, body)
        self.write_best(position)

    def load(self, epochs: int) -> Position | None:
        """Bring back model, optimizer and random states. None if the training has not begun.

        Raises:
            ValueError: a damaged checkpoint, one of another training, or one beyond so many epochs.
        """
        path = self.folder / files.CHECKPOINT
        if not path.exists():
            return None
        tensors, body = _read(path, STATE)
        identity.check(path, body["identity"], self.identity)
        begun = len(body["rows"]) + bool(body["step"])
        if begun > epochs:
            raise ValueError(
                f"epochs: expected at least {begun}, as many as {self.folder} has begun, got {epochs}; use "
                "another folder to train anew"
            )
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = tensor
        self._load_weights(groups["model"], path)
        _unflatten(self.optimizer, groups.get("optimizer", {}))
        randomness.restore(groups["random"], body["random"], self.device)
        rows = [decoded(row) for row in body["rows"]]
        position = Position(rows, body["step"], body["seconds"], groups["position"]["records"])
        self._best = {name: tensor.clone() for name, tensor in groups.get("best", {}).items()}
        self._best_written = checkpoint.peek(self.folder / files.BEST, WEIGHTS)
        self.write_best(position)
        if self._best_written != position.best:  # better none than that of another epoch
            (self.folder / files.BEST).unlink(missing_ok=True)
            self._best_written = None
        return position

    def write_best(self, position: Position) -> None:
        """Write the best weights to their file, unless they are in it, or nowhere any more."""
        weights = self._weights() if position.is_best else self._best
        if weights and self._best_written != position.best:
            self._write(files.BEST, WEIGHTS, weights, position.best)
            self._best, self._best_written = {}, position.best

    def write_last(self, position: Position) -> None:
        """Write the model's weights as those at the end."""
        self._write(files.LAST, WEIGHTS, self._weights(), position.last)

    def is_last_written(self, position: Position) -> bool:
        """Whether the weights at the end are in their file."""
        return checkpoint.peek(self.folder / files.LAST, WEIGHTS) == position.last

    def load_best(self) -> None:
        """Give the model the best weights.

        Raises:
            ValueError: their file is damaged, or was gone when the training went on.
        """
        path = self.folder / files.BEST
        if self._best_written is None:
            raise ValueError(
                f"{path}: expected the best weights, but they were gone when the training went on; ask for "
                "the last weights, or delete the folder to train anew"
            )
        self._load_weights(_read(path, WEIGHTS)[0], path)

    def _weights(self) -> dict[str, Tensor]:
        state = dict(self.model.state_dict())
        for name, value in state.items():
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"model: expected only tensors in its state dict, got {type(value).__name__} under "
                    f"{name!r}; checkpoints hold nothing that would have to be unpickled"
                )
        return state

    def _load_weights(self, weights: Mapping[str, Tensor], path: Path) -> None:
        expected = self._weights()
        differing = [
            f"{name}: the model has {_shape(expected.get(name))}, the file {_shape(weights.get(name))}"
            for name in dict.fromkeys([*expected, *weights])
            if _shape(expected.get(name)) != _shape(weights.get(name))
        ]
        if differing:
            raise ValueError(
                f"folder: {path} is of another model; {len(differing)} tensors differ, first {differing[0]}. "
                "Give the model that the training began with, or another folder"
            )
        self.model.load_state_dict(weights)

    def _write(self, name: str, kind: str, tensors: Mapping[str, Tensor], body: Mapping[str, Any]) -> None:
        with files.writing(self.folder):
            checkpoint.write(self.folder / name, kind, tensors, body)


def _mark(row: Mapping[str, float]) -> dict[str, float]:
    """What tells the weights after an epoch from others."""
    return {name: row[name] for name in ("epoch", "validation_loss")}


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return checkpoint.read(path, kind)
    except ValueError as error:
        raise ValueError(
            f"{error}. Put back a copy of this file if you have one, or delete the folder {path.parent} to "
            "train anew"
        ) from error


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors ``<index of the parameter>.<field>``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{field}": t for i, fields in state.items() for field, t in fields.items() if t is not None}


def _unflatten(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Bring back what `_flat` gave."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        parameter = parameters[int(index)]
        # In memory of its own and not the file's, with the parameter's strides: as the optimizer makes it.
        like = parameter if field != "step" and tensor.shape == parameter.shape else tensor
        own = torch.empty_like(like, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
        state.setdefault(int(index), {})[field] = own
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
