"""`ResponseState`: what each unit of one layer answers to each example, as torch tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..lives import Mask
from .result import Floats32, Reduce


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


def _mean(cube: Tensor, positions: tuple[int, ...]) -> Tensor:
    return cube.mean(positions, dtype=torch.promote_types(cube.dtype, torch.float32))
