"""`ResponseRecorder`: ask a model about a few inputs as it is trained. `RecordEvery`: the same in `fit`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arguments import integer
from . import files
from .result import REDUCTIONS, Reduce, Responses, check_alike, joined

if TYPE_CHECKING:
    from torch import nn

    from ...selection import Layers
    from .arrays import ArrayProbe
    from .modules import TorchProbe


class ResponseRecorder:
    """Records what every unit of a model answers to a few chosen inputs, at steps of its training.

    ::

        recorder = ResponseRecorder(model, x[[3, 41, 207]], names=["cat", "dog", "car"])
        for step in range(2501):
            if step % 100 == 0:
                recorder.record(step)
            ...  # train
        recorder.responses().lives()

    Args:
        model: a torch model, in eager mode, or any object with a method ``activations(inputs)`` that gives an
            array (examples, units) per layer name, in network order.
        inputs: the chosen inputs as one batch: for a torch model as `neurocensus.audit` takes them, on any
            device; for the other an array, inputs first. They are copied.
        names: what the inputs are called, in their order; default "input 0", "input 1" and so on.
        layers, unit_axis, example_axis: see `neurocensus.Auditor`. Without torch: "activations", a list of
            names or a compiled regular expression.
        reduce: what is kept of a unit with positions, as a feature map: the "max" or the "mean" of its
            values on each input. A unit without positions has one value, which is kept.
        forward: how to run the model on the inputs, ``forward(model, inputs)``.
        folder: keeps each record as a file; made if missing. Records that it has are taken up, so that a
            training which is resumed goes on with them. None: records are kept in memory only.

    Raises:
        TypeError: a model of neither kind; arguments that only a torch model has.
        ValueError: an argument is not as described; a folder with records of another model or other inputs.
        NotADirectoryError: `folder` is a file.
    """

    def __init__(
        self,
        model: Any,
        inputs: Any,
        *,
        names: Sequence[str] | None = None,
        layers: Layers = "activations",
        reduce: Reduce = "max",
        unit_axis: int | Mapping[str, int] | None = None,
        example_axis: int | Mapping[str, int] = 0,
        forward: Callable[[Any, Any], Any] | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if reduce not in REDUCTIONS:
            raise ValueError(f"reduce: expected 'max' or 'mean', got {reduce!r}")
        self._reduce: Reduce = reduce
        options = {"unit_axis": unit_axis, "example_axis": example_axis, "forward": forward}
        self._probe = _probe(model, inputs, layers, reduce, options)
        self._inputs = _names(names, self._probe.examples)
        self._folder = None if folder is None else Path(folder)
        self._records: dict[int, Responses] = {}
        if self._folder is not None:
            if self._folder.is_file():
                raise NotADirectoryError(f"folder: expected a folder or a free name, got a file: {folder}")
            self._records = files.read_steps(self._folder)
            for record in self._records.values():
                self._check_ours(record)

    @property
    def model(self) -> Any:
        """The model that is asked; of a wrapped or compiled one, the user's model inside."""
        return self._probe.model

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps recorded so far, ascending."""
        return tuple(sorted(self._records))

    def record(self, step: int) -> None:
        """Ask the model as it is now, in eval mode, and leave it as it was found (see `neurocensus.audit`).

        Args:
            step: of the training: epochs, or updates, as you count them. What was recorded at the same step
                is replaced.

        Raises:
            TypeError, ValueError: `step` is no integer of at least 0; the model gives other layers or units
                than before; nothing to record.
            OSError: the record cannot be written.
        """
        step = integer("step", step, 0)
        found = self._probe.ask(len(self._inputs))
        record = Responses(
            self._probe.name,
            [step],  # type: ignore[arg-type]
            self._inputs,
            {name: values[None] for name, (values, _) in found.items()},
            {name: silent[None] for name, (_, silent) in found.items()},
            self._reduce,
            self._probe.fingerprint,
        )
        other = next((known for at, known in self._records.items() if at != step), None)
        if other is not None:
            check_alike(other, record)
        if self._folder is not None:
            files.write_step(record, self._folder)
        self._records[step] = record

    def forget(self, step: int) -> None:
        """Forget what was recorded at `step` and after it: a training that went back will make it anew."""
        for later in [known for known in self._records if known >= step]:
            del self._records[later]
            if self._folder is not None:
                files.remove_step(later, self._folder)

    def responses(self) -> Responses:
        """What was recorded so far, as a copy.

        Raises:
            ValueError: nothing was.
        """
        if not self._records:
            raise ValueError("responses: expected at least one record, got none; call record(step) first")
        return joined(list(self._records.values()))

    def _check_ours(self, record: Responses) -> None:
        for what, expected, got in (
            ("model", self._probe.name, record.model),
            ("names", self._inputs, record.inputs),
            ("reduce", self._reduce, record.reduce),
            ("inputs", self._probe.fingerprint, record.fingerprint),
        ):
            if expected != got:
                raise ValueError(
                    f"folder: expected records of the same {what}, {expected!r}, got {got!r} at step "
                    f"{record.steps[0]} in {self._folder}; use another folder"
                )


class RecordEvery:
    """A callback of `neurocensus.training.fit` that records every few epochs; the steps are epochs.

    The model as it is when this is made becomes step 0, if nothing is recorded yet. When a killed training
    goes on, what was recorded beyond its checkpoint is forgotten and made anew. To have what was recorded
    before it was killed, give the recorder a folder, one for each training.

    Args:
        epochs: record after each so many.
        recorder: of the model that is to be trained.

    Raises:
        TypeError: `epochs` is no integer, or `recorder` no `ResponseRecorder`.
        ValueError: `epochs` is below 1; when called, with a model that is not the recorder's.
    """

    def __init__(self, epochs: int, recorder: ResponseRecorder) -> None:
        self.epochs = integer("epochs", epochs, 1)
        if not isinstance(recorder, ResponseRecorder):
            raise TypeError(f"recorder: expected a ResponseRecorder, got {type(recorder).__name__}")
        self.recorder = recorder
        if not recorder.steps:
            recorder.record(0)

    def __call__(self, epoch: int, model: nn.Module) -> Mapping[str, float]:
        """Record if it is time to; nothing joins the epoch's row."""
        from ...capture.names import unwrapped

        if unwrapped(model) is not self.recorder.model:
            raise ValueError(
                "recorder: expected one of the model in training, got one of another model; make it with the "
                "model that fit is given"
            )
        self.recorder.forget(epoch)
        if epoch % self.epochs == 0:
            self.recorder.record(epoch)
        return {}


def _probe(
    model: Any, inputs: Any, layers: Layers, reduce: Reduce, options: Mapping[str, Any]
) -> TorchProbe | ArrayProbe:
    torch = sys.modules.get("torch")  # without it there is no torch model
    if torch is not None and isinstance(model, torch.nn.Module):
        from .modules import TorchProbe

        return TorchProbe(model, inputs, layers=layers, reduce=reduce, **options)
    if not callable(getattr(model, "activations", None)):
        raise TypeError(
            "model: expected a torch.nn.Module, or an object with a method activations(inputs), got "
            f"{type(model).__name__}"
        )
    given = [name for name, value in options.items() if value not in (None, 0)]
    if given:
        raise TypeError(f"{given[0]}: expected none with a model without torch, got {options[given[0]]!r}")
    from .arrays import ArrayProbe

    return ArrayProbe(model, inputs, layers=layers)


def _names(names: Sequence[str] | None, examples: int | None) -> tuple[str, ...]:
    if names is None:
        if examples is None:
            raise ValueError(
                "names: expected a name for each input, as the batch does not show how many there are"
            )
        given = tuple(f"input {index}" for index in range(examples))
    elif isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names: expected a list of text, one for each input, got {names!r}")
    else:
        given = tuple(names)
    if examples is not None and len(given) != examples:
        raise ValueError(f"names: expected one for each of {examples} inputs, got {len(given)}")
    if not given:
        raise ValueError("inputs: expected at least one, got none")
    return given
