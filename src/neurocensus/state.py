"""`UnitState`: everything the census remembers of one layer. Small, exact, mergeable."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from .arrays import FLOATS, Buffer, buffer_of, is_torch
from .axes import reordering
from .memory import Memory, memory_for, memory_over
from .native import core

if TYPE_CHECKING:
    import torch

FORMAT_VERSION: Final = 1
HEADER: Final = ("examples", "values", "next_example")
REAL_FIELDS: Final = ("max", "min", "mean", "m2", "mean_abs")

Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


class UnitState:
    """The state of one layer: ten numbers per unit, updated chunk by chunk, merged without loss.

    Arrays have one entry per unit. They are copies: a later `update` does not change them.
    Definitions: `neurocensus.reference`. NaN and infinities are counted and left out of everything else.

    Args:
        units: number of units, at least 1.
        threshold: a value is zero when ``abs(value) <= threshold``; the default 0 means exactly zero.
        histogram: also count all finite values of the layer in log-linear bins (`reference.bin_edges`).
        device: where the state is kept and counting runs: the host (default), or a CUDA device as torch names
            it. There `update` launches on torch's current stream and waits for nothing; reading waits.

    Raises:
        TypeError: ``units`` is not an integer.
        ValueError: ``units`` below 1; ``threshold`` negative, infinite or NaN; a device that is not there.
        ImportError: a CUDA device, and neurocensus was built without its CUDA module.
        RuntimeError: CUDA refuses (no kernel for this device, say); the state is then as it was.
    """

    def __init__(
        self,
        units: int,
        *,
        threshold: float = 0.0,
        histogram: bool = False,
        device: str | torch.device | None = None,
    ) -> None:
        try:
            self._units = operator.index(units)
        except TypeError:
            raise TypeError(f"units: expected an integer, got {type(units).__name__}") from None
        if self._units < 1:
            raise ValueError(f"units: expected at least 1, got {self._units}")
        self._threshold = float(threshold)
        if not 0.0 <= self._threshold < math.inf:
            raise ValueError(f"threshold: expected a finite number of at least 0, got {threshold}")
        self._has_histogram = bool(histogram)
        self._memory = memory_for(self._units, self._has_histogram, device)
        self.reset()

    @classmethod
    def over(
        cls, words: torch.Tensor, units: int, *, threshold: float = 0.0, histogram: bool = False
    ) -> UnitState:
        """The state whose memory ``words`` is: that of another one, see `words`. Its content is not checked.

        Raises:
            ValueError: not the words of a state of so many units.
        """
        length = core.state_words(units, histogram)
        if str(words.dtype) != "torch.int64" or words.shape != (length,) or not words.is_contiguous():
            raise ValueError(
                f"words: expected UnitState.words, contiguous int64 of shape {(length,)}, "
                f"got {words.dtype} {tuple(words.shape)}"
            )
        return cls._like(units, threshold, histogram, memory_over(words, units, histogram))

    @classmethod
    def _like(cls, units: int, threshold: float, histogram: bool, memory: Memory) -> UnitState:
        out = cls.__new__(cls)
        out._units, out._threshold, out._has_histogram, out._memory = units, threshold, histogram, memory
        return out

    def reset(self) -> None:
        """Forget everything seen."""
        self._memory.reset()

    def update(
        self,
        array: Any,
        unit_axis: int = 1,
        *,
        example_axis: int = 0,
        mask: Any = None,
        first_example: int | None = None,
        threads: int | None = None,
        enabled: torch.Tensor | None = None,
    ) -> UnitState:
        """Count one chunk of activations, in one pass over its memory, without a copy.

        Args:
            array: float32, float64, float16 or bfloat16; a NumPy array, a torch tensor, or anything with
                ``__dlpack__``, of any strides, with an example axis, a unit axis and any position axes. On
                the state's device; to a state on the host, others are copied, with a warning.
            unit_axis: the axis of length `units`; may be negative.
            example_axis: the batch axis; may be negative.
            mask: bool of shape ``(examples, *positions)``, position axes in the array's order, or
                ``(examples,)``; True where to look.
            first_example: index in the data set of the chunk's first example, for `argmax`; default: one
                past the highest seen so far (`next_example`).
            threads: at most so many; on the host; default: torch's setting where torch is loaded, else all
                CPUs.
            enabled: a tensor of one integer on the state's device, read when the counting runs: 1, or 0 for
                nothing to be counted. For code that cannot decide beforehand, such as a CUDA graph.

        Returns:
            This state.

        Raises:
            TypeError: not an array, or of another dtype; mask not boolean.
            ValueError: axis out of range, another number of units, mask of another shape, another device.
        """
        chunk = buffer_of(array, "array", self._memory.device)
        if chunk.dtype not in FLOATS:
            raise TypeError(
                f"array: expected {', '.join(FLOATS[:-1])} or {FLOATS[-1]} activations, got {chunk.dtype}; "
                "convert them first, or leave this layer out"
            )
        view = reordering(chunk.shape, example_axis, unit_axis, self._units)
        shape = view(chunk.shape)
        keep = self._mask(mask, shape)
        if first_example is not None:
            first_example = operator.index(first_example)
            if not 0 <= first_example < _MOST_EXAMPLES:
                raise ValueError(
                    f"first_example: expected at least 0 and less than 2**62, got {first_example}"
                )
        if enabled is not None:
            self._check_switch(enabled)
        self._memory.update(
            chunk, shape, view(chunk.strides), keep, first_example, self._threshold, threads, enabled
        )
        return self

    def _check_switch(self, enabled: Any) -> None:
        place = self._memory.device
        if not is_torch(enabled) or enabled.is_floating_point() or enabled.numel() != 1:
            got = f"{enabled.dtype} {tuple(enabled.shape)}" if is_torch(enabled) else type(enabled).__name__
            raise TypeError(f"enabled: expected a tensor of one integer, 0 or 1, got {got}")
        if enabled.device != place and not (place is None and enabled.is_cpu):
            raise ValueError(
                f"enabled: expected it on {self.device}, where the state is, got {enabled.device}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        options = (self._units, self._threshold, self._has_histogram, self.device)
        return _restored, (*options, self._words.copy())

    def _mask(self, mask: Any, shape: Sequence[int]) -> Buffer | None:
        if mask is None:
            return None
        device = self._memory.device
        if device is not None and not (is_torch(mask) and mask.device == device):
            import torch

            mask = torch.as_tensor(mask, device=device)
        given = buffer_of(mask, "mask", device)
        if given.dtype != "bool":
            raise TypeError(f"mask: expected a boolean array, got {given.dtype}; use mask != 0")
        examples, positions = shape[0], tuple(shape[2:])
        if given.shape == (examples,):
            return Buffer(given.address, "bool", (examples, 1), (given.strides[0], 0), given.owner)
        if given.shape != (examples, *positions):
            raise ValueError(
                f"mask: expected shape {(examples, *positions)} (examples, then positions) or {(examples,)}, "
                f"got {given.shape}"
            )
        if len(positions) == 1:
            return given
        # Masks are small; one position stride serves all of them once they are contiguous.
        flat = given.owner.reshape(examples, math.prod(positions))
        flat = flat.contiguous() if is_torch(flat) else np.ascontiguousarray(flat)
        return buffer_of(flat, "mask", device)

    def merge(self, *others: UnitState, first_examples: Sequence[int] | None = None) -> UnitState:
        """Fold other states, on whatever device, into this one, as if this one had seen their data too.

        Counts, extrema, argmax and bins come out the same whatever the order and the split; moments to
        rounding. Every state is read once, so one call for many is much faster than one call for each. The
        result does not depend on the number of threads.

        Args:
            others: states of the same units and threshold, all with a histogram or all without.
            first_examples: of each of them, what is added to its example indices (`argmax`,
                `next_example`): where in the whole data its example 0 is. Default: indices are kept as they
                are, which is right where `first_example` was given to `update`.

        Returns:
            This state.

        Raises:
            TypeError: not a `UnitState`, an index that is no integer.
            ValueError: other units or threshold, or only one has a histogram; another number of indices than
                of states, an index that is negative or 2**62 and more. Nothing is merged then.
        """
        firsts = [0] * len(others) if first_examples is None else list(map(operator.index, first_examples))
        if len(firsts) != len(others):
            raise ValueError(
                f"first_examples: expected one for each of the {len(others)} states, got {len(firsts)}"
            )
        for index, (other, first) in enumerate(zip(others, firsts, strict=True)):
            self._check_like(f"others[{index}]", other)
            if not 0 <= first < _MOST_EXAMPLES:
                raise ValueError(
                    f"first_examples[{index}]: expected at least 0 and less than 2**62, got {first}"
                )
        self._memory.merge([(other._memory, first) for other, first in zip(others, firsts, strict=True)])
        return self

    def _check_like(self, argument: str, other: object) -> None:
        if not isinstance(other, UnitState):
            raise TypeError(f"{argument}: expected a UnitState, got {type(other).__name__}")
        for name in ("units", "threshold", "has_histogram"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise ValueError(
                    f"{argument}: expected {name} {mine}, got {its}; only like states can be merged"
                )

    def copy(self, device: str | torch.device | None = None) -> UnitState:
        """A state of its own with the same content, on ``device``; default: where this one is."""
        mine = self._memory
        memory = mine.empty_copy() if device is None else memory_for(self._units, self._has_histogram, device)
        memory.write(mine.read())
        return self._like(self._units, self._threshold, self._has_histogram, memory)

    @property
    def device(self) -> str:
        """Where the state is kept and counting runs: "cpu", "cuda:0", ..."""
        return "cpu" if self._memory.device is None else str(self._memory.device)

    @property
    def words(self) -> torch.Tensor:
        """The memory of the state, int64, flat, on its device: always the same tensor.

        For `over`, and for code that moves states about; what is where in it is the core's affair.
        """
        return self._memory.tensor

    def digest(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits: the same for the same numbers, on any device."""
        kind = (FORMAT_VERSION, self._units, self._threshold, self._has_histogram)
        found = hashlib.sha256(repr(kind).encode())
        found.update(self._words.data)
        return found.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Content as plain integers, floats and arrays, with ``format_version``; see `from_dict`."""
        state = self if self._memory.device is None else self.copy("cpu")  # to wait for the device once only
        out: dict[str, Any] = {"format_version": FORMAT_VERSION, "threshold": self._threshold}
        out.update({name: getattr(state, name) for name in (*HEADER, *core.FIELDS)})
        if self._has_histogram:
            out["histogram"] = state.histogram
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UnitState:
        """The state whose `to_dict` this is.

        Raises:
            ValueError: a newer format, a missing entry, or content that no data could have left.
        """
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"format_version: expected {FORMAT_VERSION}, got {version}; "
                "a newer one needs a newer neurocensus"
            )
        missing = [name for name in ("threshold", *HEADER, *core.FIELDS) if name not in data]
        if missing:
            raise ValueError(f"data: expected the entries of UnitState.to_dict, got none for {missing}")
        out = cls(len(data["max"]), threshold=data["threshold"], histogram=data.get("histogram") is not None)
        out._words[: core.HEADER_WORDS] = [operator.index(data[name]) for name in HEADER]
        for name in core.FIELDS:
            column = np.asarray(data[name])
            expected = np.dtype(np.float64 if name in REAL_FIELDS else np.int64)
            if column.shape != (out.units,) or column.dtype != expected:
                raise ValueError(
                    f"{name}: expected {expected} of shape {(out.units,)}, got {column.dtype} {column.shape}"
                )
            out._column(name)[:] = column
        if out._has_histogram:
            bins = np.asarray(data["histogram"])
            if bins.shape != (core.HISTOGRAM_SIZE,) or bins.dtype != np.int64:
                raise ValueError(
                    f"histogram: expected int64 of shape {(core.HISTOGRAM_SIZE,)}, "
                    f"got {bins.dtype} {bins.shape}"
                )
            out._words[-core.HISTOGRAM_SIZE :] = bins
        out._check()
        return out

    def _check(self) -> None:
        """Refuse what no data could have left (a damaged file)."""
        counts = {name: self._column(name) for name in ("nonzero", "active_examples", "nan", "inf")}
        sane = self.values >= self.examples >= 0 and self.next_example >= 0
        sane = sane and all(bool((column >= 0).all()) for column in counts.values())
        sane = sane and bool((counts["nonzero"] + counts["nan"] + counts["inf"] <= self.values).all())
        sane = sane and bool((counts["active_examples"] <= counts["nonzero"]).all())
        sane = sane and bool((self._column("argmax") < max(self.next_example, 1)).all())
        if not sane:
            raise ValueError(
                "data: expected counts that agree with one another, got impossible ones; damaged?"
            )

    @property
    def _words(self) -> Counts:
        return self._memory.read()

    def _column(self, name: str) -> npt.NDArray[Any]:
        start = core.HEADER_WORDS + core.FIELDS.index(name) * self._units
        words = self._words[start : start + self._units]
        return words.view(np.float64) if name in REAL_FIELDS else words

    @property
    def units(self) -> int:
        """Number of units."""
        return self._units

    @property
    def threshold(self) -> float:
        """A value is zero when its magnitude is at most this."""
        return self._threshold

    @property
    def has_histogram(self) -> bool:
        """Whether values are counted in bins too."""
        return self._has_histogram

    @property
    def examples(self) -> int:
        """Examples with at least one value seen."""
        return int(self._words[0])

    @property
    def values(self) -> int:
        """Values seen per unit."""
        return int(self._words[1])

    @property
    def next_example(self) -> int:
        """One past the highest example index given to `update`."""
        return int(self._words[2])

    @property
    def nonzero(self) -> Counts:
        """Finite values with magnitude above the threshold."""
        return self._column("nonzero").copy()

    @property
    def active_examples(self) -> Counts:
        """Examples with any such value."""
        return self._column("active_examples").copy()

    @property
    def max(self) -> Reals:
        """Largest finite value; -inf where there is none."""
        return self._column("max").copy()

    @property
    def min(self) -> Reals:
        """Smallest finite value; +inf where there is none."""
        return self._column("min").copy()

    @property
    def argmax(self) -> Counts:
        """Lowest index of an example that reaches `max`; -1 where there is none."""
        return self._column("argmax").copy()

    @property
    def mean(self) -> Reals:
        """Mean of finite values; 0 where there is none."""
        return self._column("mean").copy()

    @property
    def m2(self) -> Reals:
        """Sum of squared deviations of finite values from their mean."""
        return self._column("m2").copy()

    @property
    def mean_abs(self) -> Reals:
        """Mean magnitude of finite values; 0 where there is none."""
        return self._column("mean_abs").copy()

    @property
    def nan(self) -> Counts:
        """Values that are NaN."""
        return self._column("nan").copy()

    @property
    def inf(self) -> Counts:
        """Values that are +inf or -inf."""
        return self._column("inf").copy()

    @property
    def finite(self) -> Counts:
        """Values that are neither NaN nor infinite."""
        finite: Counts = self.values - self._column("nan") - self._column("inf")
        return finite

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Units with at least one value seen, all of them zero, none of them NaN or infinite."""
        quiet: npt.NDArray[np.bool_] = (self._column("nonzero") == 0) & (self.finite == self.values)
        return quiet & (self.values > 0)

    @property
    def histogram(self) -> Counts | None:
        """Counts of finite values of all units, ascending (`reference.bin_edges`), or None."""
        return self._words[-core.HISTOGRAM_SIZE :].copy() if self._has_histogram else None

    def __repr__(self) -> str:
        return (
            f"UnitState(units={self.units}, dead={int(self.dead.sum())}, examples={self.examples}, "
            f"values={self.values})"
        )


_MOST_EXAMPLES = 2**62  # indices: far from where int64 wraps


def _restored(units: int, threshold: float, histogram: bool, device: str, words: Counts) -> UnitState:
    """A copied or pickled state: its own memory, on the same device."""
    out = UnitState(units, threshold=threshold, histogram=histogram, device=device)
    out._memory.write(words)
    return out
