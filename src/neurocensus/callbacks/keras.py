"""`KerasCallback`: a monitor in ``model.fit`` of Keras 3 on the torch backend."""

from __future__ import annotations

import os
from typing import Any

from .monitor import Monitor
from .options import begin, check

try:
    import keras  # type: ignore[import-untyped, unused-ignore]
except ModuleNotFoundError as error:
    if error.name is not None and error.name.partition(".")[0] == "keras":
        raise ImportError("KerasCallback needs Keras 3: pip install 'neurocensus[keras]'") from error
    raise ImportError(
        f"KerasCallback needs Keras on the torch backend, not on one that needs {error.name}: set the "
        "environment variable KERAS_BACKEND=torch before anything imports keras"
    ) from error


class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Watches the activations of a Keras model while it trains.

    ::

        model.fit(x, y, callbacks=[KerasCallback("runs/1/activations")])

    Steps are those of the optimizer: batches whose gradients are accumulated are one. A validation inside the
    training gives a row. A second ``fit`` of the same model goes on from the first.

    Args:
        folder: as for `Monitor`.
        options: those of `Monitor`, but for `model`, `folder`, `first_step` and `log`.

    Attributes:
        monitor: at work in a training; None before the first one.

    Raises:
        TypeError: an option that there is not.
        RuntimeError: Keras is on another backend.
    """

    def __init__(self, folder: str | os.PathLike[str], **options: Any) -> None:
        super().__init__()
        check(options)
        if keras.backend.backend() != "torch":
            raise RuntimeError(
                f"KerasCallback: expected Keras on the torch backend, got {keras.backend.backend()!r}; set "
                "the environment variable KERAS_BACKEND=torch before anything imports keras"
            )
        self.folder, self._options = folder, options
        self.monitor: Monitor | None = None
        self._batches = self._accumulated = self._first = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin."""
        optimizer = self.model.optimizer
        self._first = int(optimizer.iterations)
        self._accumulated = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self._batches = 0
        self.monitor = begin(self.monitor, self.model, self.folder, first_step=self._first, **self._options)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the step, if the optimizer made one; its own count would have to be waited for on a GPU."""
        self._batches += 1
        done = self._first + self._batches // self._accumulated
        if self.monitor is not None and done > self.monitor.steps:
            self.monitor.step(done)

    def on_test_end(self, logs: Any = None) -> None:
        """Write what the validation gave, if it was one of the training."""
        if self.monitor is not None and self.monitor.is_open:
            self.monitor.evaluated()

    def on_train_end(self, logs: Any = None) -> None:
        """Write the rest."""
        if self.monitor is not None:
            self.monitor.close()
