"""The k best examples of each unit with torch, on any device: nothing here waits for one.

`host` does the same in NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...devices import available
from ..views import View
from .host import Indices, Reals


def peaks(view: View) -> Tensor:
    """The largest finite value of each unit on each example, float64 (units, examples); -inf for none."""
    values = view.values if view.keep is None else view.values.masked_fill(~view.keep, -math.inf)
    if values.is_cpu:
        largest = _largest(values)
        if not (largest < math.inf).all():  # an infinity or NaN came out on top
            largest = _largest(_finite(values))
    else:  # to decide by a value would be to wait for it
        largest = _largest(_finite(values))
        largest = largest.cpu() if values.is_mps else largest  # which has no float64
    return largest.T.double() + 0.0  # no -0.0


class DeviceBest:
    """Two tensors (units, k), kept as `host.HostBest` keeps its arrays."""

    def __init__(self, units: int, k: int, device: torch.device) -> None:
        self.device = device
        self.values = torch.full((units, k), -math.inf, dtype=torch.float64, device=device)
        self.examples = torch.full((units, k), -1, dtype=torch.int64, device=device)
        self._stream: torch.cuda.Stream | None = None  # on which the tensors were last used

    def append(self, new: Any, first: int) -> None:
        """Take in `peaks` of the examples `first` and on, which all come after those so far."""
        peaks = torch.as_tensor(new, device=self.device)
        numbers = torch.arange(first, first + peaks.shape[1], device=self.device).expand(peaks.shape)
        self._keep(*self._with(peaks, numbers))

    def join(self, values: Any, examples: Any) -> None:
        """Take in values of any examples, both (units, candidates); an example counts by its largest one."""
        given = (torch.as_tensor(array, device=self.device) for array in (values, examples))
        candidates, numbers = self._with(*given)
        order = candidates.argsort(dim=1, descending=True, stable=True)
        candidates, numbers = candidates.gather(1, order), numbers.gather(1, order)
        order = numbers.argsort(dim=1, stable=True)
        candidates, numbers = candidates.gather(1, order), numbers.gather(1, order)
        again = torch.zeros_like(numbers, dtype=torch.bool)
        again[:, 1:] = numbers[:, 1:] == numbers[:, :-1]
        self._keep(candidates.masked_fill(again, -math.inf), numbers)

    def read(self) -> tuple[Reals, Indices]:
        """Values and examples on the host, once the device has come to its end."""
        self._order()
        return self.values.cpu().numpy().copy(), self.examples.cpu().numpy().copy()

    def _with(self, values: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        """These beside those so far."""
        self._order()
        return torch.cat([self.values, values], 1), torch.cat([self.examples, examples], 1)

    def _keep(self, candidates: Tensor, numbers: Tensor) -> None:
        """Keep the largest, of equals the first, in new tensors: those of inference mode cannot change."""
        order = candidates.argsort(dim=1, descending=True, stable=True)[:, : self.values.shape[1]]
        self.values, self.examples = candidates.gather(1, order), numbers.gather(1, order)

    def _order(self) -> None:
        """Have the current stream come after whatever the tensors were last used for."""
        if self.device.type != "cuda":
            return
        stream = torch.cuda.current_stream(self.device)
        if self._stream is not None and stream != self._stream:
            stream.wait_stream(self._stream)
            for tensor in (self.values, self.examples):
                tensor.record_stream(stream)
        self._stream = stream


def cuda_device(device: Any) -> torch.device | None:
    """A CUDA device as torch names it, with its number; None for the CPU.

    Raises:
        ValueError: a device of another kind, or one that is not there.
    """
    place = available(device)
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device: expected 'cpu' or a CUDA device, got {device}; keep it on the host")
    return None if place.type == "cpu" else torch.empty(0, device=place).device


def _finite(values: Tensor) -> Tensor:
    return values.nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)


def _largest(values: Tensor) -> Tensor:
    if values.dim() == 2:
        return values
    if math.prod(values.shape[2:]) == 0:
        return values.new_full(values.shape[:2], -math.inf)
    return values.amax(tuple(range(2, values.dim())))
