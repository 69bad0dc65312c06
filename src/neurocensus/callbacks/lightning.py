"""`LightningCallback`: a monitor in a `Trainer` of PyTorch Lightning."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .monitor import Monitor
from .options import begin, check, prepare_torchvision

_PACKAGES: Final = ("lightning.pytorch", "pytorch_lightning")
"""One library under two names, whose trainers take callbacks of their own name only, in some versions."""


def _callback() -> Any:
    """The class `Callback` of the package in use, else of the one that is installed."""
    prepare_torchvision()
    for name in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        with contextlib.suppress(ImportError):
            return import_module(name).Callback
    raise ImportError("LightningCallback needs PyTorch Lightning: pip install 'neurocensus[lightning]'")


if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    Callback = _callback()


class LightningCallback(Callback):
    """Watches the activations of a LightningModule while it trains.

    ::

        Trainer(callbacks=[LightningCallback("runs/1/activations")]).fit(module, loader)

    Steps are those of the optimizer, ``trainer.global_step``: batches whose gradients are accumulated are
    one; a batch in which optimizers make several (manual optimization) counts for all of them, at its end. A
    validation inside the training gives a row; the sanity check before it does not. Where the trainer goes on
    from a checkpoint, so do the rows. Scalars go to the trainer's loggers; where it has none, to TensorBoard
    and W&B as `Monitor` says.

    Args:
        folder: as for `Monitor`.
        options: those of `Monitor`, but for `model`, `folder`, `first_step` and `log`.

    Attributes:
        monitor: at work in a training; None before the first one.

    Raises:
        TypeError: an option that there is not.
    """

    def __init__(self, folder: str | os.PathLike[str], **options: Any) -> None:
        super().__init__()
        check(options)
        self.folder, self._options = folder, options
        self.monitor: Monitor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, after the sanity check."""
        outputs: dict[str, Any] = {}
        if trainer.loggers:

            def log(scalars: Mapping[str, float], step: int) -> None:
                for logger in trainer.loggers:
                    logger.log_metrics(dict(scalars), step=step)

            outputs = {"tensorboard": False, "wandb": False, "log": log}
        self.monitor = begin(
            self.monitor, pl_module, self.folder, first_step=trainer.global_step, **outputs | self._options
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, if the optimizer made one."""
        if self.monitor is not None and trainer.global_step > self.monitor.steps:
            self.monitor.step(trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the validation gave, if it was one of the training."""
        if self.monitor is not None and self.monitor.is_open:
            self.monitor.evaluated()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rest."""
        if self.monitor is not None:
            self.monitor.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the hooks off the module."""
        if self.monitor is not None:
            self.monitor.abort()
