"""What the units of a torch model answer to one batch: a number per example and unit of each audit point."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import examples_in
from ..capture.names import unwrapped
from ..capture.points import tensors_in
from ..hashing import Digest
from ..observer import Observer
from ..running import run
from ..selection import Layers
from .lives import Mask
from .responses import Floats32, Reduce


class ResponseState:
    """Keeps one number per example and unit, and whether all its values are zero, on the outputs' device.

    The state of an audit point, as `UnitState` is, for one forward; rows stand in the order in which they
    came.

    Args:
        units: number of units.
        reduce: what is kept of a unit's values where it has positions.
    """

    def __init__(self, units: int, reduce: Reduce) -> None:
        self.units, self._reduce = units, reduce
        self._parts: list[tuple[Tensor, Tensor]] = []

    def update(
        self,
        array: Tensor,
        unit_axis: int = 1,
        *,
        example_axis: int = 0,
        mask: Any = None,
        first_example: int | None = None,
        threads: int | None = None,
    ) -> ResponseState:
        """Append the rows of an output; see `UnitState.update`. Whose they are, their order says."""
        assert mask is None
        cube = array.movedim((example_axis, unit_axis), (0, 1))
        positions = tuple(range(2, cube.dim()))
        if not positions:
            self._parts.append((cube.to(torch.float32, copy=True), cube == 0))
        elif 0 in cube.shape[2:]:  # no position, no value
            nothing = cube.new_full(cube.shape[:2], torch.nan, dtype=torch.float32)
            self._parts.append((nothing, nothing == 0))
        else:
            largest = cube.amax(positions)
            silent = (largest == 0) & (cube.amin(positions) == 0)
            value = largest if self._reduce == "max" else _mean(cube, positions)
            self._parts.append((value.to(torch.float32), silent))
        return self

    def merge(self, other: ResponseState) -> ResponseState:
        """Append another state's rows."""
        self._parts += other._parts
        return self

    def copy(self, device: str | torch.device | None = None) -> ResponseState:
        """A state of its own with the same rows, on `device`; default: where each is."""
        out = ResponseState(self.units, self._reduce)
        out._parts = [(value.to(device), silent.to(device)) for value, silent in self._parts]
        return out

    def reset(self) -> None:
        """Forget all rows."""
        self._parts.clear()

    def arrays(self) -> tuple[Floats32, Mask]:
        """The values and what is silent, each (rows, units). Waits for the device."""
        values, silent = (torch.cat([part[k].cpu() for part in self._parts]) for k in (0, 1))
        return values.numpy(), silent.numpy()


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


def _mean(cube: Tensor, positions: tuple[int, ...]) -> Tensor:
    return cube.mean(positions, dtype=torch.promote_types(cube.dtype, torch.float32))


def _own(batch: Any) -> Any:
    """A copy that no in-place operation of the model, or of the user, can reach."""
    return batch.detach().clone() if isinstance(batch, Tensor) else deepcopy(batch)
