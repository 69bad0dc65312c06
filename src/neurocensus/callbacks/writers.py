"""Where scalars go besides the monitor's own file: TensorBoard, W&B, or a framework's logger."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol

Choice = bool | Literal["auto"]
"""Whether to write; "auto": where that asks nothing of the user."""
Log = Callable[[Mapping[str, float], int], None]
"""A logger of scalars by tag, and the step that they belong to."""

STEP: Final = "activations/step"
"""What W&B draws the scalars over."""


class Writer(Protocol):
    """Takes scalars."""

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Write numbers by tag; `step` counts the optimizer steps done."""
        ...

    def close(self) -> None:
        """Finish what is written."""
        ...


def writers(
    folder: Path, first_step: int, *, tensorboard: Choice, wandb: Choice, log: Log | None
) -> list[Writer]:
    """The writers that were asked for.

    Raises:
        ImportError: what was asked for is not installed.
    """
    found: list[Writer] = [] if log is None else [_Logger(log)]
    if tensorboard:
        # "auto" is not to end a training where TensorBoard is missing, or does not go with this torch.
        with contextlib.suppress(*([ImportError] if tensorboard == "auto" else [])):
            found.append(TensorBoard(folder / "tensorboard", first_step))
    if wandb is True or (wandb == "auto" and _wandb_runs()):
        found.append(Wandb(folder))
    return found


class _Logger:
    """A framework's own logger."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        self._log(scalars, step)

    def close(self) -> None:
        pass


class TensorBoard:
    """Event files in `folder`. Where a training goes on, TensorBoard hides what came after `first_step`."""

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "tensorboard=True needs TensorBoard: pip install 'neurocensus[tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=first_step + 1)

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Write and flush: a run is looked at while it runs."""
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class Wandb:
    """The W&B run under way, or one of our own in `folder`, which ends with the training.

    A run's own count of steps is the user's: our scalars join the row that the user logs next, with a step of
    their own (`STEP`) to be drawn over.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("wandb=True needs W&B: pip install 'neurocensus[wandb]'") from error
        self._own = wandb.run is None
        self._run: Any = wandb.init(dir=str(folder)) if wandb.run is None else wandb.run
        self._waits_at: int | None = None
        self._run.define_metric(STEP, hidden=True)
        for pattern in ("activations/*", "eval/activations/*"):
            self._run.define_metric(pattern, step_metric=STEP)

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Log with the row that is being made; a row that still waits since the last time goes first."""
        if self._waits_at == self._run.step:
            self._run.log({}, commit=True)
        self._run.log({**scalars, STEP: step}, commit=self._own)
        self._waits_at = None if self._own else self._run.step

    def close(self) -> None:
        """End the run, if it is ours."""
        if self._own:
            self._run.finish()


def _wandb_runs() -> bool:
    """Whether the user has begun a W&B run; W&B is not imported to find out."""
    return getattr(sys.modules.get("wandb"), "run", None) is not None
