"""What the units of a torch model answer to one batch, at each audit point."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from ...batches import examples_in
from ...capture.names import unwrapped
from ...capture.points import tensors_in
from ...hashing import Digest
from ...observer import Observer
from ...running import run
from ...selection import Layers
from ..lives import Mask
from .result import Floats32, Reduce
from .state import ResponseState


class TorchProbe:
    """A model and the batch that it is asked about; see `ResponseRecorder`."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        *,
        layers: Layers,
        reduce: Reduce,
        unit_axis: int | Mapping[str, int] | None,
        example_axis: int | Mapping[str, int],
        forward: Callable[[Any, Any], Any] | None,
    ) -> None:
        self.model = unwrapped(model)
        self.name = type(self.model).__name__
        self._options: dict[str, Any] = {
            "layers": layers,
            "unit_axis": unit_axis,
            "example_axis": example_axis,
        }
        self._reduce, self._forward = reduce, forward
        self._batch = _own(inputs)
        self.examples = examples_in(inputs, example_axis)
        digest = Digest("inputs")
        digest.add_tensors((str(index), tensor) for index, tensor in enumerate(tensors_in(inputs)))
        self.fingerprint = digest.hex()
        self._observer()  # what is wrong with the model or the layers is said now

    def ask(self, examples: int) -> dict[str, tuple[Floats32, Mask]]:
        """What each layer answers now: values and what is silent, (examples, units), in network order.

        Layers that do not give a row per example are left out, with a warning.

        Raises:
            ValueError: none is left.
        """
        observer = self._observer()
        run(observer, [_own(self._batch)], forward=self._forward)
        found, left_out = {}, observer.skipped
        for point in observer.points():
            values, silent = point.total().arrays()
            if len(values) == examples:
                found[point.name] = values, silent
            else:
                left_out[point.name] = f"{len(values)} rows for {examples} inputs"
        if left_out:
            listed = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            warnings.warn(f"not recorded: {listed}", UserWarning, stacklevel=3)
        if not found:
            raise ValueError(f"layers: expected one with a row for each of the {examples} inputs, got none")
        return found

    def _observer(self) -> Observer:
        return Observer(
            self.model, make_state=lambda units, _: ResponseState(units, self._reduce), **self._options
        )


def _own(batch: Any) -> Any:
    """A copy that no in-place operation of the model, or of the user, can reach."""
    return batch.detach().clone() if isinstance(batch, Tensor) else deepcopy(batch)
