"""`Examples`: inputs and labels in memory or memory-mapped, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arguments import integer
from .indexed import Indexed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their classes, ready for a model.

    Args:
        inputs: pixels, uint8 (M, H, W, channels), or features, float32 (M, ...). May be a read-only memory
            map. It holds all the rows that `index` picks from; without `index`, M = N.
        labels: class of each example, integers (N,), positions in `classes`.
        classes: names of the classes.
        index: which row of `inputs` each example is, int64 (N,); None: the rows in order.
        identity: a word that changes whenever the content of `inputs` does, if one is known; else
            `fingerprint` reads them all.

    Raises:
        TypeError: inputs that are neither pixels nor features, labels that are no integers, one string for
            the classes.
        ValueError: lengths that differ, labels without a class, rows that are not there.
    """

    inputs: Array
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    index: npt.NDArray[np.int64] | None = None
    identity: str | None = None

    def __post_init__(self) -> None:
        inputs, labels = self.inputs, np.asarray(self.labels)
        pixels = inputs.dtype == np.uint8 and inputs.ndim == 4
        if not pixels and not (inputs.dtype == np.float32 and inputs.ndim >= 2):
            raise TypeError(
                "inputs: expected pixels, uint8 (N, H, W, channels), or features, float32 (N, ...), got "
                f"{inputs.dtype} of shape {inputs.shape}"
            )
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels: expected integers, positions in classes, got {labels.dtype}")
        if isinstance(self.classes, str):
            raise TypeError(f"classes: expected a name for each class, got the one string {self.classes!r}")
        count = len(inputs) if self.index is None else len(self.index)
        if labels.shape != (count,):
            raise ValueError(f"labels: expected shape ({count},), one for each example, got {labels.shape}")
        if count and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise ValueError(
                f"labels: expected 0 to {len(self.classes) - 1} for the classes {self.classes}, got "
                f"{labels.min()} to {labels.max()}"
            )
        rows = self.index
        if rows is not None and count and not 0 <= rows.min() <= rows.max() < len(inputs):
            raise ValueError(f"index: expected 0 to {len(inputs) - 1}, got {rows.min()} to {rows.max()}")
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = "pixels" if self.inputs.dtype == np.uint8 else "features"
        return f"Examples({len(self)} of {len(self.classes)} classes, {kind} {self.inputs.shape[1:]})"

    @property
    def shape(self) -> tuple[int, ...]:
        """As `batch` gives it: (N, channels, H, W) of pixels, (N, ...) of features."""
        one = self.inputs.shape[1:]
        return (len(self), one[2], one[0], one[1]) if self.inputs.dtype == np.uint8 else (len(self), *one)

    def batch(self, indices: Any, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """These examples as tensors on `device`.

        Args:
            indices: positions among the examples: integers, a slice, or a mask, as NumPy takes them.
            device: None: the CPU.

        Returns:
            inputs, float32: pixels in [0, 1] as (n, channels, H, W); features as they are. Pixels move to
            the device as bytes and are scaled there.
            labels, int64 (n,).
        """
        import torch

        device = torch.device("cpu" if device is None else device)
        inputs = torch.from_numpy(np.ascontiguousarray(self.inputs[self._rows(indices)])).to(device)
        if inputs.dtype == torch.uint8:
            inputs = inputs.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
            inputs = inputs.div_(255)
        return inputs, torch.from_numpy(self._labels(indices).copy()).to(device)

    def take(self, indices: Any) -> Examples:
        """These examples only, over the same `inputs`; nothing is read."""
        rows, labels = self._rows(indices), self._labels(indices)
        return Examples(self.inputs, labels, self.classes, rows, self.identity)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of inputs, order, labels and classes, as a key for what is made from them."""
        whole = hashlib.sha256()
        for part in (self.identity or digest(self.inputs), repr(self.classes)):
            whole.update(hashlib.sha256(part.encode()).digest())
        whole.update(self.labels.tobytes())
        if self.index is not None:
            whole.update(self.index.tobytes())
        return whole.hexdigest()

    def _rows(self, indices: Any) -> npt.NDArray[np.int64]:
        rows = np.arange(len(self)) if self.index is None else self.index
        return np.atleast_1d(rows[indices])

    def _labels(self, indices: Any) -> npt.NDArray[np.int64]:
        return np.atleast_1d(self.labels[indices])


class Batches(Indexed):
    """See `batches`."""

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        order: npt.NDArray[np.int64] | None,
        device: torch.device | str | None,
        start: int,
    ) -> None:
        self._whole, self._order, self._device = examples, order, device
        self._first = start * batch_size
        self.examples, self.batch_size = max(0, len(examples) - self._first), batch_size

    def numbered(self, wanted: range) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """Batches with their numbers; see `Indexed`."""
        for number in wanted:
            first = self._first + number * self.batch_size
            chosen = slice(first, first + self.batch_size)
            indices = chosen if self._order is None else self._order[chosen]
            yield number, self._whole.batch(indices, self._device)

    def identity(self) -> Mapping[str, Any]:
        """See `Indexed`."""
        return {
            "fingerprint": self._whole.fingerprint,
            "order": "as they are" if self._order is None else digest(self._order)[:16],
            "first example": self._first,
            "batch size": self.batch_size,
        }


def batches(
    examples: Examples,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    device: torch.device | str | None = None,
    start: int = 0,
) -> Batches:
    """Batches ``(inputs, labels)`` of tensors (see `Examples.batch`); iterate as often as you like.

    Args:
        examples: what to give.
        batch_size: examples per batch; the last one may be shorter.
        seed: None gives the examples in order. A number shuffles them, in an order that depends on
            `seed` and `epoch` only: no generator is drawn from, so a resumed run sees the same.
        epoch: from 0.
        device: where the tensors go; None: the CPU.
        start: leave out so many batches at the beginning, without reading them. ``len`` counts the rest.

    Raises:
        TypeError: one of them is no integer.
        ValueError: a batch size below 1; a negative seed, epoch or start.
    """
    batch_size, epoch = integer("batch_size", batch_size, 1), integer("epoch", epoch, 0)
    start, seed = integer("start", start, 0), None if seed is None else integer("seed", seed, 0)
    order = None if seed is None else np.random.default_rng((seed, epoch)).permutation(len(examples))
    return Batches(examples, batch_size, order, device, start)


def digest(array: Array) -> str:
    """SHA-256 of an array's dtype, shape and content, in hexadecimal digits."""
    whole = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    rows = max(1, (1 << 24) // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        whole.update(np.ascontiguousarray(array[first : first + rows]).tobytes())
    return whole.hexdigest()
