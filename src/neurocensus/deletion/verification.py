"""Proof by running: the outputs with and without a mask, compared bit by bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .. import text
from ..batches import check_loader, examples_in, feed, moved
from ..capture.points import tensors_in
from ..preserve import evaluating, random_states
from .masks import Mask

if TYPE_CHECKING:
    from ..data import Examples


@dataclass(frozen=True)
class Verification:
    """What masking did to a model's outputs."""

    examples: int
    units: int
    """Units that were masked."""
    differing_examples: int
    """Examples with an output of other bits (NaN and the sign of zero count too)."""
    max_abs_difference: float
    """Largest difference of two outputs: 0 where they are equal, NaN where one is NaN."""
    first: int | None
    """The first such example, from 0."""
    repeatable: bool
    """Whether the unmasked model gave the same bits twice, where that was looked at: if it does not, a
    difference is none of the mask's making."""

    @property
    def equal(self) -> bool:
        """Whether all outputs are the same, bit for bit."""
        return self.differing_examples == 0

    def __str__(self) -> str:
        what = f"{text.plural(self.units, 'unit')} masked, {text.plural(self.examples, 'example')}"
        if self.equal:
            return f"{what}: every output the same, bit for bit"
        noise = "" if self.repeatable else "; but the model does not repeat itself without a mask either"
        return (
            f"{what}: outputs of {text.count(self.differing_examples)} differ, first of example "
            f"{self.first}, by up to {self.max_abs_difference:g}{noise}"
        )


def verify(
    model: nn.Module,
    dead: Mapping[str, Any],
    examples: Examples | Iterable[Any],
    *,
    unit_axis: int | Mapping[str, int] | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
) -> Verification:
    """Run a model with and without a mask over the same batches, and compare the outputs.

    On the audited examples, masking units that were exactly zero changes no bit. Each unit's zeros stay
    zeros, so every later layer sees the same numbers. With an audit of a threshold above 0, or on other
    examples, there may be differences; this is their size. In eval mode; the model is left as it was found.

    Args:
        model, dead, unit_axis: as for `Mask`.
        examples: `neurocensus.data.Examples`, or an iterable of batches, as for `neurocensus.audit`.
        batch_size: of `Examples`.
        device: where to run; default where the model is.

    Raises:
        TypeError, ValueError: as `Mask`; no examples.
    """
    mask = Mask(model, dead, unit_axis=unit_axis)
    place = None if device is None else torch.device(device)
    home = place or next((parameter.device for parameter in model.parameters()), None)
    seen, differing, repeatable = 0, 0, True
    first: int | None = None
    largest = 0.0
    with random_states(), evaluating(model, place), torch.inference_mode():
        for batch in _batches(examples, batch_size):
            batch = moved(batch, home)
            plain = _outputs(model, batch)
            with mask:
                held = _outputs(model, batch)
            rows, gap = _difference(plain, held)
            if rows and first is None:
                first = seen + rows[0]
                repeatable = not _difference(plain, _outputs(model, batch))[0]
            differing += len(rows)
            largest = gap if math.isnan(gap) else max(largest, gap)
            seen += examples_in(batch, 0) or 0
    if not seen:
        raise ValueError("examples: expected at least one, got none")
    return Verification(seen, mask.count, differing, largest, first, repeatable)


def _batches(examples: Examples | Iterable[Any], batch_size: int) -> Iterable[Any]:
    from ..data import Examples, batches

    if isinstance(examples, Examples):
        return batches(examples, batch_size)
    check_loader(examples)
    return examples


def _outputs(model: nn.Module, batch: Any) -> list[Tensor]:
    return [output.clone() for output in tensors_in(feed(model, batch))]


def _difference(plain: list[Tensor], held: list[Tensor]) -> tuple[list[int], float]:
    """Examples that differ, on the first axis of the outputs, and the largest difference."""
    rows: set[int] = set()
    gaps = [0.0]
    for a, b in zip(plain, held, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"model: expected outputs of the same shape, got {a.shape} and {b.shape}")
        a, b = (_real(t).reshape(len(t) if t.dim() else 1, -1) for t in (a, b))
        unequal = _bits(a) != _bits(b)
        rows.update(unequal.any(dim=1).nonzero().flatten().tolist())
        if unequal.any():
            gaps += (a[unequal].double() - b[unequal].double()).abs().tolist()
    return sorted(rows), math.nan if any(map(math.isnan, gaps)) else max(gaps)


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _bits(tensor: Tensor) -> Tensor:
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(integers[tensor.element_size()])
