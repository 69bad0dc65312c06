"""`fit`: the loop that trains all models."""

from __future__ import annotations

import math
import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .. import storage
from ..capture.names import unwrapped
from ..devices import available
from ..preserve import random_states
from . import files, modes
from .history import COLUMNS, History
from .identity import identity
from .objective import Judge
from .optimizers import optimizer_for
from .progress import Report, shown
from .randomness import seed_epoch
from .settings import Settings
from .snapshot import Position, Store

if TYPE_CHECKING:
    from ..data import Examples
    from .callbacks import Callback

OnStep: TypeAlias = Callable[[int, int, int], None]
Augment: TypeAlias = Callable[[Tensor], Tensor]

CHECK_EVERY: Final = 100
"""Steps between looks at the losses where a look has to wait for the device."""
EPOCH_SECONDS: Final = 1.0
"""Epochs that are shorter share a checkpoint."""
SAVE_SHARE: Final = 0.1
"""The part of the time that checkpoints at the ends of epochs may take."""


def fit(
    model: nn.Module,
    train: Examples,
    validation: Examples,
    settings: Settings,
    *,
    folder: str | os.PathLike[str],
    augment: Augment | None = None,
    callbacks: Sequence[Callback] = (),
    on_step: OnStep | None = None,
    restore: Literal["last", "best"] = "last",
    checkpoint_seconds: float | None = 120.0,
    progress: bool = True,
) -> History:
    """Train `model`, or go on with its training where it was; see docs/training.md.

    A model with one output is taken to give probabilities, (N, 1) or (N,), and is trained by Keras's binary
    cross-entropy; one with k outputs gives logits (N, k), for cross-entropy. Only parameters with
    ``requires_grad`` are trained, and batch normalization that is frozen keeps its running statistics.

    `folder` holds the state of the training. Called again with the same arguments, after a kill at any
    moment, it goes on from the last checkpoint, and ends with the same weights, bit for bit, as if it had
    never stopped (on a CPU, with the same software and number of threads). Of a finished training it loads
    the weights and returns at once; with more `epochs` than before it trains on.

    The model is trained in place. It comes back on the device and in the modes that it had, with the weights
    that `restore` says. The global random generators are left as they were found.

    Args:
        model: takes float32 batches of inputs.
        train, validation: the data.
        settings: how to train.
        folder: made if missing. Gets ``checkpoint.safetensors`` (to go on), ``best.safetensors`` and, at the
            end, ``last.safetensors`` (weights), ``history.jsonl`` and ``training.png``.
        augment: applied to each training batch, on the device; draws from torch's global generator.
        callbacks: called at the end of each epoch; their numbers join its row.
        on_step: called after each step with the epoch and the step, from 1, and the steps of an epoch.
        restore: which weights the model has at the end: those of the "last" epoch, or of the "best", which
            is the one of the lowest validation loss.
        checkpoint_seconds: write a checkpoint within an epoch too, when the last one is so old. None: only at
            the ends of epochs; epochs of less than a second share one. 0: after each step and epoch.
        progress: show a progress bar, on a terminal only.

    Raises:
        TypeError, ValueError: an argument is not as described; labels that the model cannot have; a folder
            with the training of another model, of other data or with other settings; a damaged checkpoint.
        FloatingPointError: the loss or a weight is no longer finite. The folder keeps what was before.
        OSError: a full disk, for example. The last checkpoint still loads.
        RuntimeError: another training runs in the folder.
    """
    _check_arguments(train, validation, augment, callbacks, restore, checkpoint_seconds)
    device = available(settings.device)
    autocast = modes.autocast(settings, device)
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call] # so that the random states there are kept, too
    with ExitStack() as stack:
        place = stack.enter_context(files.claimed(folder))
        stack.enter_context(random_states())
        stack.enter_context(modes.deterministic_convolutions())
        stack.enter_context(modes.as_found(model, device))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        training = _Training(
            Judge(model, autocast, {"train": train, "validation": validation}),
            settings,
            device,
            place,
            augment=augment,
            callbacks=callbacks,
            checkpoint_seconds=math.inf if checkpoint_seconds is None else checkpoint_seconds,
        )
        training.resume()
        report = stack.enter_context(shown(progress, settings.epochs, training.steps, training.done))
        while training.stopped is None:
            training.run_epoch(report, on_step)
        training.finish()
        if restore == "best":
            training.store.load_best()
        return training.history


class _Training:
    """A training and where it is: `rows` of the finished epochs, `step` and `seconds` of the current one."""

    def __init__(
        self,
        judge: Judge,
        settings: Settings,
        device: torch.device,
        folder: Path,
        *,
        augment: Augment | None,
        callbacks: Sequence[Callback],
        checkpoint_seconds: float,
    ) -> None:
        self.judge, self.settings, self.device, self.folder = judge, settings, device, folder
        self.augment, self.callbacks = augment, callbacks
        self.checkpoint_seconds = checkpoint_seconds
        self.model, self.train, self.validation = judge.model, judge.data["train"], judge.data["validation"]
        self._materialise()
        inner = unwrapped(self.model)  # names without what wrappers add to them
        trained = {name: p for name, p in inner.named_parameters() if p.requires_grad}
        if not trained:
            raise ValueError(
                "model: expected at least one parameter with requires_grad, got none; unfreeze what is to "
                "be trained"
            )
        self.parameters = list(trained.values())
        self.optimizer = optimizer_for(self.parameters, settings)
        self.optimizer.zero_grad()  # what the user has left there
        same = identity(settings, device, self.train, self.validation, augment, list(trained))
        self.store = Store(folder, inner, self.optimizer, device, same)
        self.rows: list[dict[str, float]] = []
        self.step, self.seconds = 0, 0.0
        self.steps = -(-len(self.train) // settings.batch_size)
        # Loss and right answers of each step, on the device: nothing waits, and no running sum is rounded.
        self.records = torch.zeros(2, self.steps, dtype=torch.float32, device=device)
        self.checked = 0  # steps of this epoch whose loss is known to be finite
        self.saved_at, self.save_seconds = time.monotonic(), 0.0

    @property
    def epoch(self) -> int:
        """The current epoch, from 1."""
        return len(self.rows) + 1

    @property
    def done(self) -> int:
        """Steps done so far, over all epochs."""
        return len(self.rows) * self.steps + self.step

    @property
    def history(self) -> History:
        return History(tuple(dict(row) for row in self.rows), self.stopped)

    @property
    def position(self) -> Position:
        return Position(self.rows, self.step, self.seconds, self.records[:, : self.step])

    @property
    def stopped(self) -> str | None:
        """Why there is nothing more to do; None if there is."""
        best, patience = self.position.best, self.settings.patience
        if best and patience is not None and len(self.rows) - best["epoch"] >= patience:
            return "patience"
        return "epochs" if len(self.rows) >= self.settings.epochs else None

    def resume(self) -> None:
        """Go to where the checkpoint is, if there is one, and make again what should be beside it."""
        position = self.store.load(self.settings.epochs)
        if position is not None:
            self.rows, self.step, self.seconds, records = position
            self.records[:, : self.step] = records.to(self.device)
            self._write_history()

    def run_epoch(self, report: Report, on_step: OnStep | None) -> None:
        """Do the rest of the current epoch."""
        from ..data import batches

        if self.step == 0:  # else the checkpoint has brought the random states
            seed_epoch(self.settings.seed, self.epoch)
        begun = time.monotonic() - self.seconds
        modes.training_mode(self.model)
        last = self.rows[-1] if self.rows else None
        rest = batches(
            self.train,
            self.settings.batch_size,
            seed=self.settings.seed,
            epoch=len(self.rows),
            device=self.device,
            start=self.step,
        )
        for inputs, labels in rest:
            self._train_on(inputs, labels)
            report(self.epoch, self.step, last)
            if on_step is not None:
                on_step(self.epoch, self.step, self.steps)
            if self.step - self.checked >= (1 if self.device.type == "cpu" else CHECK_EVERY):
                self._check_losses()
            if self._is_due(within=True):
                self.seconds = time.monotonic() - begun
                self._check_finite()
                self._save()
        self._end_epoch(begun)

    def _train_on(self, inputs: Tensor, labels: Tensor) -> None:
        if self.augment is not None:
            with torch.no_grad():
                inputs = self.augment(inputs)
        loss, right = self.judge(inputs, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.records[0, self.step] = loss.detach()
        self.records[1, self.step] = right
        self.step += 1

    def _end_epoch(self, begun: float) -> None:
        self._check_finite()
        losses, right = self.records.cpu().double()
        sizes = torch.full_like(losses, self.settings.batch_size)
        sizes[-1] = len(self.train) - self.settings.batch_size * (self.steps - 1)
        validation_loss, validation_accuracy = self.judge.over(self.validation, self.device)
        if not math.isfinite(validation_loss):
            raise self._diverged(f"the validation loss is {validation_loss}", self.step)
        row: dict[str, float] = {
            "epoch": self.epoch,
            "loss": float(losses @ sizes) / len(self.train),
            "accuracy": float(right.sum()) / len(self.train),
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "seconds": time.monotonic() - begun,
        }
        for callback in self.callbacks:
            row.update(_numbers(callback(self.epoch, self.model)))
        self.rows.append(row)
        self.step, self.checked, self.seconds = 0, 0, 0.0
        if self.stopped or self._is_due(within=False):
            self._save()
        elif self.position.is_best:
            self.store.keep_best()

    def finish(self) -> None:
        """Leave the last weights and the picture, unless they are there."""
        if self.store.is_last_written(self.position):
            return
        from .curves import plot_history

        with files.writing(self.folder), storage.atomic(self.folder / files.PLOT) as path:
            plot_history({self.folder.name: self.history}).savefig(path, format="png", dpi=120)
        self.store.write_last(self.position)

    def _is_due(self, *, within: bool) -> bool:
        """Whether it is time for a checkpoint, `within` an epoch or at its end.

        At the end always, but for epochs so short that checkpoints would take much of the time.
        """
        wait = self.checkpoint_seconds
        if not within:
            wait = min(wait, max(EPOCH_SECONDS, self.save_seconds / SAVE_SHARE))
        return time.monotonic() - self.saved_at >= wait

    def _save(self) -> None:
        begun = time.monotonic()
        self.store.save(self.position)
        self._write_history()  # after the checkpoint, from which `resume` can make it again
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - begun

    def _write_history(self) -> None:
        path, text = self.folder / files.HISTORY, self.history.to_jsonl()
        if not path.is_file() or path.read_text("utf-8") != text:
            with files.writing(self.folder):
                storage.write_text(path, text)

    def _check_losses(self) -> None:
        """Raise if a loss of this epoch is not finite."""
        losses = self.records[0, self.checked : self.step]
        if not bool(losses.isfinite().all()):
            first = int((~losses.isfinite()).nonzero()[0])
            raise self._diverged(f"the loss is {float(losses[first])}", self.checked + first + 1)
        self.checked = self.step

    def _check_finite(self) -> None:
        """Raise if a loss or a weight is not finite: a checkpoint of it would be of no use."""
        self._check_losses()
        if not bool(torch.stack([p.detach().isfinite().all() for p in self.parameters]).all()):
            raise self._diverged("a weight is not finite", self.step)

    def _diverged(self, what: str, step: int) -> FloatingPointError:
        kept = "no epoch was finished before"
        if self.rows:
            self.store.write_best(self.position)
            self._write_history()
            best = self.position.best["epoch"]
            kept = f"the weights of epoch {best}, the best, are in {self.folder / files.BEST}"
        return FloatingPointError(
            f"training: {what} at epoch {self.epoch}, step {step} of {self.steps}; {kept}. See that the "
            "inputs are finite, or train anew in another folder with a lower learning_rate than "
            f"{self.settings.learning_rate}"
        )

    def _materialise(self) -> None:
        """Run lazy modules once, so that they have the parameters that the optimizer needs."""
        from ..data import batches

        if any(map(is_lazy, self.model.parameters())):
            seed_epoch(self.settings.seed, 0)
            self.model.eval()
            inputs, _ = next(iter(batches(self.train, 1, device=self.device)))
            with torch.no_grad():
                self.model(inputs)


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    """What a callback gave, as plain numbers."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"callbacks: expected each to return a mapping of names to numbers, which may be empty, got "
            f"{type(values).__name__}"
        )
    found: dict[str, float] = {}
    for name, value in values.items():
        if name in (*COLUMNS, "stopped"):
            taken = ", ".join((*COLUMNS, "stopped"))
            raise ValueError(f"callbacks: expected names other than {taken}, got {name!r}")
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"callbacks: expected a number as {name!r}, got {type(value).__name__}")
        found[name] = int(value) if isinstance(value, numbers.Integral) else float(value)
    return found


def _check_arguments(
    train: Examples,
    validation: Examples,
    augment: object,
    callbacks: Sequence[Callback],
    restore: str,
    checkpoint_seconds: float | None,
) -> None:
    for name, examples in (("train", train), ("validation", validation)):
        if not len(examples):
            raise ValueError(f"{name}: expected at least one example, got none")
    if train.classes != validation.classes:
        raise ValueError(
            f"validation: expected the classes of train, {train.classes}, got {validation.classes}; split "
            "one set of examples, or name the classes when opening each"
        )
    if not (augment is None or callable(augment)):
        raise TypeError(f"augment: expected a function of a batch, got {type(augment).__name__}")
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks: expected functions (epoch, model), got {type(callback).__name__}")
    if restore not in ("last", "best"):
        raise ValueError(f"restore: expected 'last' or 'best', got {restore!r}")
    if checkpoint_seconds is not None and not checkpoint_seconds >= 0:
        raise ValueError(f"checkpoint_seconds: expected 0 or more, or None, got {checkpoint_seconds}")
