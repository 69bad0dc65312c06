"""`Monitor`: an auditor in a training loop that writes down, warns and draws what it finds."""

from __future__ import annotations

import contextlib
import copy
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..arguments import integer
from ..auditor import Auditor
from ..capture.hooks import Hook
from ..capture.names import unwrapped
from ..selection import Layers
from ..storage import atomic
from .alarms import ActivationWarning, Alarms
from .arguments import check_numbers, check_outputs, intervals, path_of
from .journal import Journal, Row, plot_monitor
from .ranks import by_first, processes
from .statistics import Mode, row_of, scalars
from .writers import Choice, Log, Writer, writers

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

PLOT: Final = "activations.png"

MaskOf = Callable[[tuple[Any, ...], Mapping[str, Any]], Tensor | None]
"""From the arguments of the model, by place and by name, to what `Auditor.mask` takes."""


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
            dropped; where `first_step` is 0, what is there is put aside. One monitor at a time works in it.
        every_n_steps: count forwards in training mode in steps 0, n, 2n, ...; others cost next to nothing.
            Where the count jumps over such a number, the step that it comes to is counted in its place.
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
        ImportError: (by `open`) TensorBoard or W&B was asked for and is not installed.
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
        mask: str | MaskOf | None = None,
        first_step: int = 0,
        tensorboard: Choice = "auto",
        wandb: Choice = "auto",
        log: Log | None = None,
        group: ProcessGroup | None = None,
        threads: int | None = None,
    ) -> None:
        every_n_steps, self._log_every = intervals(every_n_steps, log_every_n_steps)
        self._first = integer("first_step", first_step, 0)
        check_numbers(warn_over, threshold, threads)
        check_outputs(mask, tensorboard, wandb, log)
        self.folder = path_of(folder)
        self.auditor = Auditor(
            model, layers=layers, unit_axis=unit_axis, example_axis=example_axis, threshold=threshold,
            threads=threads, every_n_steps=every_n_steps, window=window,
        )  # fmt: skip
        for done in (self._first - 1, self._first):  # by one, so that no step that is over is made up for
            self.auditor.step(max(0, done))
        self._logged = self._first  # when a row of training was due last
        self._begun = self._first  # the first step of the next one
        self._due = False  # whether one of its steps was to be counted
        self._warn_over, self._mask, self._group = warn_over, mask, group
        self._outputs: dict[str, Any] = {"tensorboard": tensorboard, "wandb": wandb, "log": log}
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
        """Begin: put the hooks on the model, open the files.

        Raises:
            RuntimeError: it has begun already; another Monitor is at work in the folder.
            NotADirectoryError, ValueError: what is there is no folder; the file to go on with is damaged.
        """
        if self._open:
            raise RuntimeError("this Monitor is at work already; make a second one for a second training")
        self._open = True
        try:
            self.auditor.attach()
            if self._mask is not None:
                self._mask_hook = unwrapped(self.auditor.model).register_forward_pre_hook(
                    Hook(_set_mask, self.auditor, self._mask), with_kwargs=True
                )
            by_first(self._group, self._open_files)
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
            OSError: a row could not be written (a full disk). What was counted stays for the next row. In a
                process group all processes raise it.
        """
        if number is not None and number < self.auditor.steps:
            raise ValueError(
                f"number: expected at least {self.auditor.steps}, the steps done before, got {number}; for a "
                "training that goes on from a checkpoint make a Monitor with first_step"
            )
        self._check_open()
        self._due = self._due or self.auditor.active
        self.auditor.step(number)
        if self.auditor.steps // self._log_every > self._logged // self._log_every:
            self._write_training()

    def evaluated(self) -> None:
        """Say that a validation is over, and write down what the model gave in eval mode since the last one.

        In a process group all processes call it.

        Raises:
            OSError: as `step`.
        """
        self._check_open()
        self._sync()
        if "eval" not in self.auditor.modes:
            _warn("evaluated: the model gave nothing in eval mode; call model.eval() before the validation")
            return
        self._tell(self._record("eval", self.auditor.steps))

    def close(self) -> None:
        """End: write down what is left, draw the plot, close the files, take the hooks off the model.

        Does nothing if that was done before.
        """
        if not self._open:
            return
        try:
            if self.auditor.steps > self._begun:
                self._write_training()
            self._draw()
        finally:
            self._shut()

    def abort(self) -> None:
        """End after an error, which this never hides: what is left is written where that can be.

        In a process group nothing more is: the others may not answer.
        """
        if self._open and processes(self._group) == 1:
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

    def _open_files(self) -> None:
        self._journal = Journal(self.folder, self._first)
        self._alarms = Alarms(self._warn_over, self._journal.kept)
        self._writers = writers(self.folder, self._first, **self._outputs)

    def _shut(self) -> None:
        self._open = False
        self.auditor.detach()
        if self._mask_hook is not None:
            self._mask_hook.remove()
            self._mask_hook = None
        with contextlib.ExitStack() as stack:  # all of them, whatever one raises
            if self._journal is not None:
                stack.callback(self._journal.close)
            while self._writers:
                stack.callback(self._writers.pop().close)

    # What is written.

    def _write_training(self) -> None:
        self._check_open()
        self._logged = self.auditor.steps
        self._sync()
        first, due, row = self._begun, self._due, None
        seen = "train" in self.auditor.modes
        if seen:
            row = self._record("train", first)
        self._begun, self._due = self._logged, False
        if seen:
            self._tell(row)
        elif due:
            _warn(
                f"the model gave nothing in training mode in steps {first} to {self._logged}; call "
                "model.train() before training steps"
            )

    def _record(self, mode: Mode, first_step: int) -> Row | None:
        """Add a row to the file, if it is ours to write, and only then begin the next window."""
        audit = self.auditor.compute(mode)
        alarms, rows = copy.copy(self._alarms), []

        def add() -> None:
            assert self._journal is not None
            row = row_of(audit, mode, first_step, self.auditor.steps)
            row["warnings"] = alarms.check(row)
            self._journal.append(row)
            rows.append(row)

        by_first(self._group, add)
        self.auditor.reset(mode)
        self._alarms = alarms
        return rows[0] if rows else None

    def _tell(self, row: Row | None) -> None:
        """Tell the writers and the user of a row that is on disk."""

        def tell() -> None:
            assert row is not None
            tagged = scalars(row)
            for writer in self._writers:
                writer.write(tagged, row["step"])
            for sentence in self._alarms.sentences(row):
                _warn(sentence)

        by_first(self._group, tell)

    def _sync(self) -> None:
        if processes(self._group) > 1:
            self.auditor.sync(self._group)

    def _draw(self) -> None:
        if self._journal is not None and self._journal.path.exists():
            with atomic(self.folder / PLOT) as temporary:
                plot_monitor(self._journal.path).savefig(temporary, format="png", dpi=120)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError(
                "this Monitor is not at work: use it in a with block, or call open() first. "
                "If it was, it has ended: by close() or abort(), or as a callback began another training in "
                "its folder"
            )


def _set_mask(
    auditor: Auditor, mask: MaskOf | str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The hook that gives the auditor its mask. Of the monitor it knows nothing, which may go before it."""
    if module.training and not auditor.active:
        return
    if callable(mask):
        auditor.mask = mask(args, kwargs)
        return
    found = kwargs.get(mask)
    auditor.mask = found != 0 if isinstance(found, Tensor) and found.dim() == 2 else None


def _warn(message: str) -> None:
    """Warn whoever calls this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(__package__):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ActivationWarning, stacklevel=level)
