"""`Auditor`, for your own loop, and `audit`, for one call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._version import __version__
from .capture.names import unwrapped
from .native import cuda_counts
from .observer import Observer
from .result import Audit, LayerAudit
from .running import run
from .selection import Layers
from .state import UnitState


class Auditor(Observer):
    """Counts the activations of a model while it runs in your own loop.

    ::

        with Auditor(model) as auditor:
            for x, y in loader:
                model(x)
        audit = auditor.compute()

    The model's mode, gradients and data are yours: the auditor only looks. Activations are reduced as they
    appear, nothing of them is kept. What an activation checkpoint recomputes in the backward pass is not
    counted again.

    A model that is compiled after the auditor was attached is counted inside the compiled code, from the
    second forward on; the first one runs uncompiled. Where that cannot be, compiled models run uncompiled
    while the auditor is attached, and `uncompiled` says why.

    Args:
        model: the model, in eager mode; wrapped in DistributedDataParallel, FSDP or `torch.compile` too.
        layers: which outputs to count. "activations" (default): results of activation and pooling functions,
            module or functional, and outputs of layers with parameters that reach no activation before the
            next such layer (logits). "published": the same, but a module with the attribute
            ``audited_whole = True`` (a backbone of `neurocensus.zoo`) is one layer, its output with units on
            the last axis, and nothing inside it is counted. "modules": outputs of all modules without
            sub-modules. A list of names: modules, containers too, or functions as ``<module>.<function>``. A
            compiled regular expression, searched in these names. A predicate ``(name, module) -> bool`` over
            all modules.
        unit_axis: where units are, for all layers (int) or by name; default: followed from where the data
            came (see `neurocensus.units`).
        example_axis: where examples are, for all layers and the model's input (int) or by name; default 0,
            and 1 for 3-D outputs of recurrent and attention modules with ``batch_first=False``. Given as 1,
            it is 0 for 2-D outputs (examples, units).
        threshold: a value counts as zero when ``abs(value) <= threshold``.
        histogram: also count all values in log-linear bins.
        threads: CPU threads that count; default torch's.

    Attributes:
        mask: bool tensor (examples, *positions) for the forwards to come, True where to count, or None. It
            applies to layers with these positions; those with none are counted on examples with any position
            kept; others are counted whole, with a warning.

    Raises:
        TypeError: `model` is not an eager `nn.Module`.
        ValueError: a layer name that does not exist, an axis out of range, an uninitialized lazy module.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Layers = "activations",
        unit_axis: int | Mapping[str, int] | None = None,
        example_axis: int | Mapping[str, int] = 0,
        threshold: float = 0.0,
        histogram: bool = False,
        threads: int | None = None,
    ) -> None:
        UnitState(1, threshold=threshold, histogram=histogram)  # raise now, not at the first forward
        self._threshold = threshold
        super().__init__(
            model,
            make_state=functools.partial(_state_for, threshold=threshold, histogram=histogram),
            layers=layers,
            unit_axis=unit_axis,
            example_axis=example_axis,
            threads=threads,
            trace=True,  # inside compiled code, where possible
        )

    def compute(self) -> Audit:
        """What was counted so far, as a copy: go on, and compute again.

        Warns of points that could not be counted and of layers that the mask did not fit.
        """
        return self._compute(None, None)

    def _compute(self, examples: int | None, batches: int | None) -> Audit:
        capture = self._capture
        self._warn()
        traced = capture.traced_calls()
        layers = {
            point.name: LayerAudit(
                name=point.name,
                state=point.total(),
                kind=point.kind,
                unit_axis=point.unit_axis,
                unit_rule=point.unit_rule,
                example_axis=point.example_axis,
                dtype=point.dtype,
                training=point.training,
                calls=point.calls + traced.get(point, 0),
                masked=point.masked,
            )
            for point in capture.counted()
            if point.state is not None
        }
        return Audit(
            layers,
            model=type(unwrapped(self._model)).__name__,
            examples=capture.examples if examples is None else examples,
            batches=capture.batches if batches is None else batches,
            expected=capture.expected(),
            never_fired=capture.never_fired(),
            threshold=self._threshold,
            versions={"neurocensus": __version__, "torch": torch.__version__, "numpy": np.__version__},
        )


def _state_for(units: int, device: torch.device, *, threshold: float, histogram: bool) -> UnitState:
    """An empty state where outputs on `device` are counted: there, or on the host."""
    counted_there = device.type == "cuda" and torch.version.hip is None and cuda_counts()
    return UnitState(
        units, threshold=threshold, histogram=histogram, device=device if counted_there else None
    )


def audit(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: Layers = "activations",
    unit_axis: int | Mapping[str, int] | None = None,
    example_axis: int | Mapping[str, int] = 0,
    threshold: float = 0.0,
    histogram: bool = False,
    device: str | torch.device | None = None,
    max_examples: int | None = None,
    mask: str | Callable[[Any], Tensor | None] | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    progress: bool = True,
    threads: int | None = None,
) -> Audit:
    """Run `model` over `loader` in eval mode and inference mode, and count every activation.

    The model is left as it was found (modes, hooks, device, gradients, attributes), and so are the random
    states of torch, NumPy and Python, also after an exception.

    Args:
        model: any `nn.Module`; of a compiled or wrapped one, the user's model inside is run.
        loader: an iterable of batches: tensors, tuples ``(x, ...)`` of which x is given to the model, dicts
            given as keywords, or anything with `forward`.
        layers, unit_axis, example_axis, threshold, histogram, threads: as for `Auditor`.
        device: where to run; default where the model is. Batches are moved there.
        max_examples: stop after exactly so many examples, the last batch is cut.
        mask: which positions count: a key of dict batches (``"attention_mask"``), or a function of the batch
            that gives a bool tensor (examples, *positions); see `Auditor.mask`.
        forward: how to run the model on a batch, ``forward(model, batch)``.
        progress: show a progress bar, on a terminal only.

    Raises:
        TypeError: a loader that is a single array, a batch that needs `forward`.
        ValueError: no examples, a layer name that does not exist, nothing to count.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    auditor = Auditor(
        unwrapped(model), layers=layers, unit_axis=unit_axis, example_axis=example_axis, threshold=threshold,
        histogram=histogram, threads=threads,
    )  # fmt: skip
    auditor.trace = False
    examples, batches = run(
        auditor, loader, device=device, max_examples=max_examples, mask=mask, forward=forward,
        progress="audit" if progress else None,
    )  # fmt: skip
    return auditor._compute(examples, batches)
