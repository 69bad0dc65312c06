"""`Monitor`: an auditor in a training loop that writes down, warns and draws what it finds."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..arguments import integer
from ..auditor import Auditor
from ..capture.names import unwrapped
from ..selection import Layers
from ..storage import atomic
from .alarms import ActivationWarning, Alarms
from .journal import Journal, plot_monitor
from .statistics import Mode, row_of, scalars
from .writers import Choice, Log, Writer, writers

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

PLOT: Final = "activations.png"


class Monitor:
    """Watches the activations of a model while it trains, in any loop.

    ::

        with Monitor(model, "runs/1") as monitor:
            for x, y in loader:
                loss(model(x), y).backward()
                optimizer.step()
                optimizer.zero_grad()
                monitor.step()

    Every `log_every_n_steps` steps a line is added to ``activations.jsonl``: what the model's layers gave in
    training mode since the last one, on the steps that were counted. `evaluated` adds one of what they gave
    in eval mode. The same numbers go to TensorBoard and W&B. At the end a plot is drawn, ``activations.png``.

    In a process group (torch.distributed) every process makes a monitor and calls it alike: the numbers are
    those of all of them, and the first process writes.

    Args:
        model: see `neurocensus.Auditor`.
        folder: gets the files; made if missing. What a training that goes on left there after `first_step` is
            dropped; where `first_step` is 0, what is there is put aside.
        every_n_steps: count forwards in training mode in steps 0, n, 2n, ...; others cost next to nothing.
        log_every_n_steps: write down after so many steps, and what is left at the end.
        window: (first, stop): count training in these steps only; see `neurocensus.Auditor`.
        warn_over: warn when the dead share of a layer, dead units / units, is above this, once until it is
            over; in [0, 1], 1 for never. Values that are NaN or infinite are warned of likewise.
        layers, unit_axis, example_axis, threshold, threads: see `neurocensus.Auditor`.
        mask: which positions count: the name of a keyword argument of the model (``"attention_mask"``), which
            is used where it is of shape (examples, positions), with 0 where not to count; or a function
            ``(args, kwargs)`` of the model's arguments that gives what `Auditor.mask` takes.
        first_step: optimizer steps that the training has behind it, where it goes on from a checkpoint.
        tensorboard: write event files in ``folder/tensorboard``; "auto": if TensorBoard is installed.
        wandb: log to W&B, in a run of our own if none is under way; "auto": if one is.
        log: called with the numbers by tag, and the step; for a logger that is at hand.
        group: the processes that train together; default: all.

    Attributes:
        auditor: what counts.
        folder: as a path.

    Raises:
        TypeError, ValueError: an argument is not as described; the message says which.
        ImportError: TensorBoard or W&B was asked for and is not installed.
    """

    def __init__(
        self,
        model: nn.Module,
        folder: str | os.PathLike[str],
        *,
        every_n_steps: int = 50,
        log_every_n_steps: int = 500,
        window: tuple[int, int | None] | None = None,
        warn_over: float = 0.5,
        layers: Layers = "activations",
        unit_axis: int | Mapping[str, int] | None = None,
        example_axis: int | Mapping[str, int] = 0,
        threshold: float = 0.0,
        mask: str | Callable[[tuple[Any, ...], Mapping[str, Any]], Tensor | None] | None = None,
        first_step: int = 0,
        tensorboard: Choice = "auto",
        wandb: Choice = "auto",
        log: Log | None = None,
        group: ProcessGroup | None = None,
        threads: int | None = None,
    ) -> None:
        self._log_every = integer("log_every_n_steps", log_every_n_steps, 1)
        self._every = integer("every_n_steps", every_n_steps, 1)
        if self._every > self._log_every:
            raise ValueError(
                f"log_every_n_steps: expected at least every_n_steps, {every_n_steps}, got "
                f"{log_every_n_steps}; otherwise there are rows of nothing"
            )
        self._first = integer("first_step", first_step, 0)
        _check_outputs(warn_over, mask, tensorboard, wandb, log)
        self.folder = Path(folder)
        self.auditor = Auditor(
            model, layers=layers, unit_axis=unit_axis, example_axis=example_axis, threshold=threshold,
            threads=threads, every_n_steps=every_n_steps, window=window,
        )  # fmt: skip
        self.auditor.step(self._first)
        self._logged = self._first  # the step of the last row of training
        self._warn_over, self._mask, self._group = warn_over, mask, group
        self._outputs: dict[str, Any] = {"tensorboard": tensorboard, "wandb": wandb, "log": log}
        self._whole_run = window is None
        self._journal: Journal | None = None
        self._alarms = Alarms(warn_over)
        self._writers: list[Writer] = []
        self._mask_hook: RemovableHandle | None = None
        self._open = False

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        return self.auditor.steps

    @property
    def is_open(self) -> bool:
        """Whether it is at work."""
        return self._open

    def open(self) -> Monitor:
        """Begin: put the hooks on the model, open the files. Raises RuntimeError if that was done before."""
        if self._open:
            raise RuntimeError("this Monitor is at work already; make a second one for a second training")
        self._open = True
        try:
            self.auditor.attach()
            if self._mask is not None:
                self._mask_hook = unwrapped(self.auditor.model).register_forward_pre_hook(
                    self._set_mask, with_kwargs=True
                )
            if self._writes():
                self._journal = Journal(self.folder, self._first)
                self._alarms = Alarms(self._warn_over, self._journal.kept)
                self._writers = writers(self.folder, self._first, **self._outputs)
        except BaseException:
            self._shut()
            raise
        return self

    def step(self, number: int | None = None) -> None:
        """Say that a step of the optimizer is done; call it after each.

        Args:
            number: how many were done; default: one more.

        Raises:
            ValueError: `number` is less than before.
            OSError: a row could not be written (a full disk).
        """
        if number is not None and number < self.auditor.steps:
            raise ValueError(
                f"number: expected at least {self.auditor.steps}, the steps done before, got {number}; for a "
                "training that goes on from a checkpoint make a Monitor with first_step"
            )
        self._check_open()
        self.auditor.step(number)
        if self.auditor.steps // self._log_every > self._logged // self._log_every:
            self._write_training()

    def evaluated(self) -> None:
        """Say that a validation is over, and write down what the model gave in eval mode since the last one.

        In a process group all processes call it.
        """
        self._check_open()
        self._sync()
        if "eval" not in self.auditor.modes:
            _warn("evaluated: the model gave nothing in eval mode; call model.eval() before the validation")
            return
        self._write("eval", self.auditor.steps)

    def close(self) -> None:
        """End: write down what is left, draw the plot, close the files, take the hooks off the model.

        Does nothing if that was done before.
        """
        if not self._open:
            return
        try:
            if self.auditor.steps > self._logged:
                self._write_training()
            self._draw()
        finally:
            self._shut()

    def abort(self) -> None:
        """End after an error, which this never hides: what is left is written where that can be.

        In a process group nothing more is: the others may not answer.
        """
        if self._open and _processes(self._group) == 1:
            self.auditor.detach()  # also out of a forward that was cut short
            with contextlib.suppress(Exception):
                self.close()
        self._shut()

    def __enter__(self) -> Monitor:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _shut(self) -> None:
        self._open = False
        self.auditor.detach()
        if self._mask_hook is not None:
            self._mask_hook.remove()
            self._mask_hook = None
        while self._writers:
            self._writers.pop().close()

    # What is written.

    def _write_training(self) -> None:
        self._check_open()
        first, self._logged = self._logged, self.auditor.steps
        self._sync()
        if "train" in self.auditor.modes:
            self._write("train", first)
        elif self._whole_run and -(-first // self._every) * self._every < self._logged:
            _warn(
                f"the model gave nothing in training mode in steps {first} to {self._logged}; call "
                "model.train() before training steps"
            )

    def _write(self, mode: Mode, first_step: int) -> None:
        audit = self.auditor.compute(mode, reset=True)
        if self._journal is None:
            return
        row = row_of(audit, mode, first_step, self.auditor.steps)
        row["warnings"] = self._alarms.check(row)
        self._journal.append(row)
        tagged = scalars(row)
        for writer in self._writers:
            writer.write(tagged, row["step"])
        for sentence in self._alarms.sentences(row):
            _warn(sentence)

    def _sync(self) -> None:
        if _processes(self._group) > 1:
            self.auditor.sync(self._group)

    def _writes(self) -> bool:
        return _processes(self._group) == 1 or torch.distributed.get_rank(self._group) == 0

    def _set_mask(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module.training and not self.auditor.active:
            return
        if callable(self._mask):
            self.auditor.mask = self._mask(args, kwargs)
            return
        assert self._mask is not None
        found = kwargs.get(self._mask)
        self.auditor.mask = found != 0 if isinstance(found, Tensor) and found.dim() == 2 else None

    def _draw(self) -> None:
        if self._journal is not None and self._journal.path.exists():
            with atomic(self.folder / PLOT) as temporary:
                plot_monitor(self._journal.path).savefig(temporary, format="png", dpi=120)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("this Monitor is not at work: use it in a with block, or call open() first")


def _processes(group: ProcessGroup | None) -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size(group) if distributed else 1


def _warn(message: str) -> None:
    """Warn whoever calls this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(__package__):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ActivationWarning, stacklevel=level)


def _check_outputs(warn_over: Any, mask: Any, tensorboard: Any, wandb: Any, log: Any) -> None:
    if isinstance(warn_over, bool) or not isinstance(warn_over, (int, float)):
        raise TypeError(f"warn_over: expected a share in [0, 1], got {type(warn_over).__name__}")
    if not 0 <= warn_over <= 1:
        raise ValueError(f"warn_over: expected a share in [0, 1], got {warn_over}; 0.5 is half of the units")
    if not (mask is None or isinstance(mask, str) or callable(mask)):
        raise TypeError(
            "mask: expected the name of an argument of the model, or a function of its arguments, "
            f"got {type(mask).__name__}"
        )
    for name, choice in (("tensorboard", tensorboard), ("wandb", wandb)):
        if not isinstance(choice, bool) and choice != "auto":
            raise ValueError(f'{name}: expected True, False or "auto", got {choice!r}')
    if not (log is None or callable(log)):
        raise TypeError(f"log: expected a function (scalars, step), got {type(log).__name__}")
