"""The census as torch operators: what a compiled graph calls where eager code calls `UnitState.update`.

Registered through `torch.library` with schemas that name the mutated tensors, and fake implementations, so
that `torch.compile` keeps each call, in its place, in a graph without breaks. `torch.library.custom_op` would
register the same, but every call of such an operator passes some 40 us of Python; these pass 2 us.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from .state import UnitState

SLOTS: Final = 256  # of the tally: kinds of compiled forward that are told apart

_UPDATE = (
    "update(Tensor(a!) words, Tensor enabled, Tensor values, Tensor? mask, str name, int units, "
    "bool histogram, float threshold, int unit_axis, int example_axis, int threads) -> ()"
)
_TICK = "tick(Tensor(a!) tally, Tensor enabled, int slot, SymInt examples, Tensor? mask) -> ()"


def static(tensor: Tensor) -> Tensor:
    """`tensor`, marked as one that stays where it is: CUDA graphs then take it as it is, not as a copy."""
    mark = getattr(torch._dynamo, "mark_static_address", None)
    if mark is not None:
        mark(tensor)
    return tensor


def _update(
    words: Tensor, enabled: Tensor, values: Tensor, mask: Tensor | None, name: str, units: int,
    histogram: bool, threshold: float, unit_axis: int, example_axis: int, threads: int,
) -> None:  # fmt: skip
    """Count `values` into a state, unless `enabled` is 0. Its first example is the state's `next_example`.

    Args:
        words: int64, flat: `UnitState.words`. Mutated.
        enabled: int64, one element, on the device of `words`.
        values: as for `UnitState.update`.
        mask: bool, as for `UnitState.update`, or None.
        name: the layer's, for error messages.
        threads: as for `UnitState.update`; 0 for its default.

    Raises:
        ValueError: another number of units.
    """
    state = UnitState.over(words, units, threshold=threshold, histogram=histogram)
    try:
        state.update(
            values, unit_axis, example_axis=example_axis, mask=mask, threads=threads or None, enabled=enabled
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"layer {name!r}: {error}") from error


def _tick(tally: Tensor, enabled: Tensor, slot: int, examples: int, mask: Tensor | None) -> None:
    """Note one forward of kind `slot`, with so many examples, unless `enabled` is 0.

    Args:
        tally: int64, ``2 * SLOTS``: forwards, then examples, of each kind. Mutated.
        enabled: int64, one element, on the device of `tally`.
        mask: bool, (examples,), which of them count; None: all.
    """
    tally[slot].add_(enabled[0])
    if mask is None:
        tally[SLOTS + slot].add_(enabled[0], alpha=examples)
    else:
        tally[SLOTS + slot].add_(enabled[0] * mask.sum().to(tally.device))


def _nothing(*_: Any) -> None:
    """Fake implementation: neither operator returns anything."""


_library: Any = torch.library.Library("neurocensus", "DEF")  # type: ignore[no-untyped-call]
# The kernels read any strides, so a compiler need not copy values into those that it traced.
_tags = tuple(
    getattr(torch.Tag, t) for t in ("pt2_compliant_tag", "flexible_layout") if hasattr(torch.Tag, t)
)
for _schema, _function in ((_UPDATE, _update), (_TICK, _tick)):
    _name = _schema.partition("(")[0]
    _library.define(_schema, tags=_tags)
    _library.impl(_name, _function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"neurocensus::{_name}", _nothing, lib=_library)

update = torch.ops.neurocensus.update.default
tick = torch.ops.neurocensus.tick.default
