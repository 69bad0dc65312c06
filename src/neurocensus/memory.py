"""Where the words of a state are, and what runs there: on the host, or on a CUDA device.

Both hold the same flat int64 words (`cpp/include/neurocensus/state.hpp`). Callers have checked arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from .arrays import FLOATS, Buffer
from .native import core, cuda
from .threads import thread_count

if TYPE_CHECKING:
    import torch

Words = npt.NDArray[np.int64]


class Memory(Protocol):
    """The words of one state."""

    @property
    def device(self) -> torch.device | None:
        """Where they are; None for the host."""

    @property
    def tensor(self) -> torch.Tensor:
        """The words as a flat int64 tensor that shares their memory, always the same one."""

    def read(self) -> Words:
        """The words on the host: on the host themselves, else a copy, once the device has come to its end."""

    def write(self, words: Words) -> None:
        """Replace the content."""

    def reset(self) -> None:
        """Write the empty state."""

    def update(
        self, chunk: Buffer, shape: tuple[int, ...], strides: tuple[int, ...], mask: Buffer | None,
        first_example: int | None, threshold: float, threads: int | None, enabled: torch.Tensor | None,
    ) -> None:  # fmt: skip
        """Fold a chunk in; its shape and strides are of (example, unit, *positions)."""

    def merge(self, others: Sequence[tuple[Memory, int]]) -> None:
        """Fold other states in, wherever they are, each with what is added to its example indices."""

    def empty_copy(self) -> Memory:
        """Memory for a state like this one, in the same place, holding nothing yet."""


class HostMemory:
    """A NumPy array."""

    device = None

    def __init__(self, units: int, histogram: bool, words: Words | None = None) -> None:
        self._units, self._histogram = units, histogram
        self._words = np.empty(core.state_words(units, histogram), np.int64) if words is None else words
        self._tensor: torch.Tensor | None = None

    @property
    def tensor(self) -> torch.Tensor:
        if self._tensor is None:
            import torch

            with torch.inference_mode(False):  # else it could not be updated outside of that mode
                self._tensor = torch.from_numpy(self._words)
        return self._tensor

    def read(self) -> Words:
        return self._words

    def write(self, words: Words) -> None:
        self._words[:] = words

    def reset(self) -> None:
        core.reset(self._words, self._units, self._histogram)

    def update(
        self, chunk: Buffer, shape: tuple[int, ...], strides: tuple[int, ...], mask: Buffer | None,
        first_example: int | None, threshold: float, threads: int | None, enabled: torch.Tensor | None,
    ) -> None:  # fmt: skip
        if enabled is not None and not enabled.item():
            return
        core.update(
            self._words, self._units, self._histogram,
            chunk.address, FLOATS.index(chunk.dtype), shape, strides,
            mask.address if mask else 0, mask.strides[0] if mask else 0, mask.strides[1] if mask else 0,
            int(self._words[2]) if first_example is None else first_example,
            threshold, thread_count(threads),
        )  # fmt: skip

    def merge(self, others: Sequence[tuple[Memory, int]]) -> None:
        words, first_examples = [other.read() for other, _ in others], [first for _, first in others]
        core.merge(self._words, words, first_examples, self._units, self._histogram, thread_count())

    def empty_copy(self) -> Memory:
        return HostMemory(self._units, self._histogram)


class DeviceMemory:
    """A torch tensor on a CUDA device. Work is launched on torch's current stream and not waited for."""

    def __init__(
        self, units: int, histogram: bool, device: torch.device, words: torch.Tensor | None = None
    ) -> None:
        import torch

        self._torch = torch  # at hand: an import statement costs a tenth of a call
        self._units, self._histogram = units, histogram
        if words is None and self._capturing():
            raise RuntimeError(
                "a state cannot be made while a CUDA graph is captured: every replay would empty it; "
                "make it, or run the audited model once, before"
            )
        if words is None:
            with torch.inference_mode(False):  # else it could not be updated outside of that mode
                words = torch.empty(core.state_words(units, histogram), dtype=torch.int64, device=device)
        self._words = words
        self.device: torch.device | None = words.device
        self._index = words.device.index or 0
        self._stream: torch.cuda.Stream | None = None  # on which the words were last used
        self._raw_stream: int | None = None
        _living[words.data_ptr()] = self

    @property
    def tensor(self) -> torch.Tensor:
        return self._words

    def read(self) -> Words:
        if self._capturing():
            raise RuntimeError("a state cannot be read while a CUDA graph is captured; read it after")
        self._synchronize()
        words: Words = self._words.cpu().numpy()
        return words

    def write(self, words: Words) -> None:
        self._ordered()
        self._words.copy_(self._torch.from_numpy(words))

    def reset(self) -> None:
        cuda.reset(self._words.data_ptr(), self._units, self._histogram, self._index, self._ordered())

    def update(
        self, chunk: Buffer, shape: tuple[int, ...], strides: tuple[int, ...], mask: Buffer | None,
        first_example: int | None, threshold: float, threads: int | None, enabled: torch.Tensor | None,
    ) -> None:  # fmt: skip
        stream = self._ordered()
        arguments = (
            self._words.data_ptr(), self._units, self._histogram,
            chunk.address, FLOATS.index(chunk.dtype), shape, strides,
            mask.address if mask else 0, mask.strides[0] if mask else 0, mask.strides[1] if mask else 0,
            cuda.NEXT_EXAMPLE if first_example is None else first_example, threshold,
            0 if enabled is None else enabled.data_ptr(), self._index, stream,
        )  # fmt: skip
        # While a CUDA graph is captured, scratch comes from the graph's own memory, and belongs to it.
        key = None if self._capturing() else (self._index, stream)
        scratch = _NONE if key is None else _scratch.get(key, _NONE)
        try:
            needed = cuda.update(*arguments, *scratch.sizes)
            if not scratch.holds(needed):
                scratch = Scratch(self._words.device, needed, scratch)
                # A compiled call may be a rehearsal for a graph, in whose memory nothing may stay.
                if key is not None and (enabled is None or key in _scratch):
                    _scratch[key] = scratch
                cuda.update(*arguments, *scratch.sizes)
        except RuntimeError:  # it may not be zeros any more
            if key is not None:
                _scratch.pop(key, None)
            raise

    def merge(self, others: Sequence[tuple[Memory, int]]) -> None:
        for other, first_example in others:
            self._merge(other if first_example == 0 else self._renumbered(other, first_example))

    def _renumbered(self, other: Memory, first_example: int) -> Memory:
        """The other one's content on the host, its examples numbered from `first_example` on."""
        out = HostMemory(self._units, self._histogram)
        out.reset()
        out.merge([(other, first_example)])
        return out

    def _merge(self, other: Memory) -> None:
        if other.device != self.device:
            words, other = other.read(), self.empty_copy()
            other.write(words)
        if isinstance(other, DeviceMemory):
            other._ordered()
        cuda.merge(
            self._words.data_ptr(), other.tensor.data_ptr(), self._units, self._histogram, self._index,
            self._ordered(),
        )  # fmt: skip

    def empty_copy(self) -> Memory:
        return type(self)(self._units, self._histogram, self._words.device)

    def _ordered(self) -> int:
        """The current stream, which from now on comes after whatever the words were last used for."""
        torch = self._torch
        stream = int(torch._C._cuda_getCurrentRawStream(self._index))
        if stream != self._raw_stream and not self._capturing():
            current = torch.cuda.current_stream(self._index)
            if self._stream is not None:
                current.wait_stream(self._stream)
                self._words.record_stream(current)
            self._stream, self._raw_stream = current, stream
        return stream

    def _capturing(self) -> bool:
        return bool(self._torch.cuda.is_current_stream_capturing())

    def _synchronize(self) -> None:
        self._torch.cuda.synchronize(self._index)


class Scratch:
    """Device memory that the calls of one stream share: zeros before and after each, and the rest."""

    __slots__ = ("_parts", "_zeros", "sizes")

    def __init__(
        self, device: torch.device | None, needed: tuple[int, int], old: Scratch | None = None
    ) -> None:
        self.sizes: tuple[int, int, int, int] = (0, 0, 0, 0)
        """What `_cuda.update` takes: address and bytes of the zeros, address and bytes of the rest."""
        if device is None:
            return
        import torch

        zeros, parts = needed
        if old is not None:  # grow in good time, and not back and forth
            zeros, parts = max(zeros, old.sizes[1]), max(parts, old.sizes[3])
        with torch.inference_mode(False):
            # None needed, none launched: in a graph it would be one more node.
            make_zeros = torch.zeros if zeros else torch.empty
            self._zeros = make_zeros(zeros, dtype=torch.uint8, device=device)
            self._parts = torch.empty(parts, dtype=torch.uint8, device=device)
        self.sizes = (self._zeros.data_ptr(), zeros, self._parts.data_ptr(), parts)

    def holds(self, needed: tuple[int, int]) -> bool:
        """Whether it is large enough."""
        return self.sizes[1] >= needed[0] and self.sizes[3] >= needed[1]


_living: WeakValueDictionary[int, DeviceMemory] = WeakValueDictionary()  # by the address of their words
_NONE = Scratch(None, (0, 0))
_scratch: dict[tuple[int, int], Scratch] = {}  # by device and stream


def memory_for(units: int, histogram: bool, device: Any) -> Memory:
    """Memory on `device`: None or "cpu" for the host, or a CUDA device as torch names it.

    Raises:
        ValueError: a device of another kind, or one that is not there.
        ImportError: the CUDA module is not there.
    """
    if device is None or str(device) == "cpu":
        return HostMemory(units, histogram)
    import torch

    try:
        place = torch.device(device)
        if place.type == "cpu":
            return HostMemory(units, histogram)
        if place.type != "cuda":
            raise ValueError(f"device: expected 'cpu' or a CUDA device, got {device}; count on the host")
        cuda.NEXT_EXAMPLE  # noqa: B018 - says what is missing, if it is
        if place.index is None:
            place = torch.device("cuda", torch.cuda.current_device())
        return DeviceMemory(units, histogram, place)
    except (RuntimeError, AssertionError) as error:  # as torch says it
        in_use: Any = torch.cuda.is_initialized
        if in_use() and torch.cuda.is_current_stream_capturing():
            raise
        raise ValueError(f"device: expected one that is available here, got {device}: {error}") from error


def memory_over(words: torch.Tensor, units: int, histogram: bool) -> Memory:
    """Memory of a state whose words are those of a tensor."""
    if words.is_cuda:  # the one that knows on which stream they were last used, where it still lives
        return _living.get(words.data_ptr()) or DeviceMemory(units, histogram, words.device, words)
    return HostMemory(units, histogram, words.numpy())
