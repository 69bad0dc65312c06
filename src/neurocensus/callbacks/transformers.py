"""`TransformersCallback`: a monitor in a `Trainer` of Hugging Face Transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from .monitor import Monitor
from .options import begin, check, prepare_torchvision

prepare_torchvision()
try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError(
        "TransformersCallback needs Transformers: pip install 'neurocensus[transformers]'"
    ) from error

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

_EVAL: Final = "eval/"


class TransformersCallback(TrainerCallback):
    """Watches the activations of a model while a `Trainer` trains it.

    ::

        trainer = Trainer(model, arguments, train_dataset=data)
        trainer.add_callback(TransformersCallback("runs/1/activations", trainer))
        trainer.train()

    Steps are ``state.global_step``: batches whose gradients are accumulated are one. An evaluation inside the
    training gives a row. Where the trainer goes on from a checkpoint, so do the rows. Padding is not counted:
    `mask` is "attention_mask".

    With `trainer`, the scalars go where its `report_to` says, all of them, and those of the whole network
    through `Trainer.log` too, so that they are printed and in ``state.log_history``. Without it they go to
    TensorBoard and W&B as `Monitor` says.

    Args:
        folder: as for `Monitor`.
        trainer: the one that this callback is added to.
        options: those of `Monitor`, but for `model`, `folder`, `first_step` and `log`.

    Attributes:
        monitor: at work in a training; None before the first one.

    Raises:
        TypeError: an option that there is not.
    """

    def __init__(
        self, folder: str | os.PathLike[str], trainer: Trainer | None = None, **options: Any
    ) -> None:
        check(options)
        self.folder, self._trainer = folder, trainer
        self._options: dict[str, Any] = {"mask": "attention_mask", **options}
        self.monitor: Monitor | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin."""
        model: nn.Module = kwargs["model"]
        outputs: dict[str, Any] = {}
        if self._trainer is not None:
            outputs = {"tensorboard": False, "wandb": False, "log": self._log}
        self.monitor = begin(
            self.monitor, model, self.folder, first_step=state.global_step, **outputs | self._options
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the step."""
        if self.monitor is not None:
            self.monitor.step(state.global_step)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what the evaluation gave, if it was one of the training."""
        if self.monitor is not None and self.monitor.is_open:
            self.monitor.evaluated()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the rest."""
        if self.monitor is not None:
            self.monitor.close()

    def _log(self, scalars: Mapping[str, float], step: int) -> None:
        """Report them as `Trainer.log` does; those of single layers would flood what it prints and keeps."""
        from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

        trainer = self._trainer
        assert trainer is not None
        # What the trainer takes for evaluation; it makes "eval/..." of it.
        named = {
            f"eval_{tag.removeprefix(_EVAL)}" if tag.startswith(_EVAL) else tag: value
            for tag, value in scalars.items()
        }
        whole = {tag: value for tag, value in named.items() if tag.count("/") == 1}
        layers = {tag: value for tag, value in named.items() if tag not in whole}
        due = trainer.control.should_log  # logging takes this for done, but the loss is yet to come
        trainer.log(whole)
        trainer.control.should_log = due
        reporting: Any = tuple(INTEGRATION_TO_CALLBACK.values())
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, reporting):
                callback.on_log(
                    trainer.args, trainer.state, trainer.control, logs=dict(layers), model=trainer.model
                )
