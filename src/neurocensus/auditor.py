"""`Auditor`, for your own loop, and `audit`, for one call."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from operator import length_hint
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ._version import __version__
from .batches import check_loader, cut, examples_in, feed, moved
from .capture.capture import Capture
from .capture.names import unwrapped
from .preserve import evaluating, is_sharded, random_states
from .result import Audit, LayerAudit
from .selection import Layers
from .state import UnitState
from .threads import thread_count


class Auditor:
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
        _check_model(model)
        UnitState(1, threshold=threshold, histogram=histogram)  # raise now, not at the first forward
        thread_count(threads)
        self._model = model
        self._threshold = threshold
        self._options: dict[str, Any] = {
            "layers": layers,
            "unit_axis": unit_axis,
            "example_axis": example_axis,
            "threshold": threshold,
            "histogram": histogram,
            "threads": threads,
        }
        self._trace = True  # inside compiled code, where possible
        self._capture = Capture(model, **self._options)

    def attach(self) -> Auditor:
        """Start to look: put the hooks on the model. Raises RuntimeError if they are on it."""
        if self._capture.hooks.attached:
            raise RuntimeError("this Auditor is attached already; detach it first, or make a second Auditor")
        self._capture.attach(self._trace)
        return self

    def detach(self) -> None:
        """Stop looking: take the hooks off. What was counted is kept. Does nothing if they are off."""
        if self._capture.hooks.attached:
            self._capture.detach()

    def __enter__(self) -> Auditor:
        return self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.detach()

    @property
    def mask(self) -> Tensor | None:
        """The mask for the forwards to come."""
        return self._capture.counter.mask

    @mask.setter
    def mask(self, mask: Tensor | None) -> None:
        if mask is not None and not (isinstance(mask, Tensor) and mask.dim() >= 1):
            raise TypeError(f"mask: expected a bool tensor (examples, *positions), got {_describe(mask)}")
        if mask is not None and (mask.is_floating_point() or mask.is_complex()):
            raise TypeError(
                f"mask: expected a bool tensor or one of 0 and 1, got {mask.dtype}; "
                "of one that is added to attention scores use mask == 0"
            )
        self._capture.counter.mask = None if mask is None else mask.detach() != 0

    @property
    def skipped(self) -> dict[str, str]:
        """Points left out because their output cannot be counted, and why (integer output, no examples)."""
        return self._capture.left_out()

    @property
    def uncompiled(self) -> str | None:
        """Why compiled models run uncompiled in every forward, not just the first; None if they do not."""
        return self._capture.uncompiled

    def reset(self) -> None:
        """Forget everything counted; the next forward is the first again."""
        if self._capture.hooks.running:
            raise RuntimeError("reset inside a forward of the model; call it between forwards")
        if self._capture.traced.kinds:  # compiled code counts into these states
            self._capture.reset()
            return
        attached = self._capture.hooks.attached
        mask = self._capture.counter.mask
        self.detach()
        self._capture = Capture(self._model, **self._options)
        self._capture.counter.mask = mask
        if attached:
            self.attach()

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

    def _warn(self) -> None:
        capture = self._capture
        left_out = capture.left_out()
        if left_out:
            listed = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            warnings.warn(f"not counted: {listed}", UserWarning, stacklevel=4)
        counted = {point.name for point in capture.counted()}
        unmasked = {name: shape for name, shape in capture.counter.unmasked.items() if name in counted}
        if unmasked:
            listed = ", ".join(f"{name} {shape}" for name, shape in unmasked.items())
            warnings.warn(
                f"the mask does not fit the outputs of these layers, which were counted whole: {listed}",
                UserWarning,
                stacklevel=4,
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
    check_loader(loader)
    if max_examples is not None and not isinstance(max_examples, int):
        raise TypeError(f"max_examples: expected an integer, got {type(max_examples).__name__}")
    if max_examples is not None and max_examples < 1:
        raise ValueError(f"max_examples: expected at least 1, got {max_examples}")
    if not (mask is None or isinstance(mask, str) or callable(mask)):
        raise TypeError(f"mask: expected a key of the batches or a function of one, got {_describe(mask)}")
    if not (forward is None or callable(forward)):
        raise TypeError(f"forward: expected a function (model, batch), got {_describe(forward)}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    model = unwrapped(model)
    place = None if device is None else _device(device)
    auditor = Auditor(
        model, layers=layers, unit_axis=unit_axis, example_axis=example_axis, threshold=threshold,
        histogram=histogram, threads=threads,
    )  # fmt: skip
    auditor._trace = False
    capture = auditor._capture
    examples = batches = 0
    # FSDP's all-gather does not work on tensors of inference mode.
    quiet = torch.no_grad() if any(map(is_sharded, model.modules())) else torch.inference_mode()
    with random_states(), evaluating(model, place), auditor, quiet, _bar(progress) as bar:
        target = place if place is not None else _device_of(model)
        for batch in bar(loader):
            size = examples_in(batch, example_axis)
            if max_examples is not None and (size is None or size > max_examples - examples):
                axis = example_axis if isinstance(example_axis, int) else 0
                batch, size = cut(batch, max_examples - examples, size, axis), max_examples - examples
            batch = moved(batch, target)
            if mask is not None:
                auditor.mask = found = _mask_of(mask, batch)
                if found is not None and size is not None and len(found) != size:
                    raise ValueError(
                        f"mask: expected one row for each of the {size} examples of the batch, "
                        f"got a mask of shape {tuple(found.shape)}"
                    )
            capture.first_example, before = examples, capture.examples
            if forward is None:
                feed(model, batch)
            else:
                forward(model, batch)
            examples += capture.examples - before if size is None else size
            batches += 1
            if batches == 1:
                capture.check_names()
            if examples == max_examples:
                break
    if not examples:
        raise ValueError(f"loader: expected at least one example, got {batches} batches without any")
    if not capture.batches:
        raise ValueError("forward: expected it to call the model that it is given, or a part of it")
    if not capture.counted():
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in capture.skipped.items())
        raise ValueError(
            f"layers: {layers!r} chose nothing that could be counted in {type(model).__name__}; "
            f'layers="modules" counts the outputs of all modules{reasons}'
        )
    return auditor._compute(examples, batches)


def _check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        where = f" (its module {name!r})" if name else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"model: expected an eager model, got a TorchScript one{where}, which runs "
                "without hooks; audit the nn.Module it was made from"
            )
        if any(map(is_lazy, module.parameters(recurse=False))):
            raise ValueError(
                f"model: {name or type(module).__name__!r} is a lazy module without parameters yet; "
                "run the model on one batch, then audit"
            )
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise TypeError(
                "model: nn.DataParallel runs copies of the model in threads, which cannot be "
                "counted together; audit its .module"
            )


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # as torch says it
        raise ValueError(f"device: expected one that is available here, got {device}: {error}") from error
    return place


def _device_of(model: nn.Module) -> torch.device | None:
    first = next(chain(model.parameters(), model.buffers()), None)
    return None if first is None else first.device


def _mask_of(mask: str | Callable[[Any], Tensor | None], batch: Any) -> Tensor | None:
    if callable(mask):
        return mask(batch)
    if not isinstance(batch, Mapping) or mask not in batch:
        got = f"keys {list(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(f"mask: expected batches that are dicts with the key {mask!r}, got {got}")
    found: Tensor = batch[mask]
    return found


@contextmanager
def _bar(progress: bool) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """A function that passes a loader through, with a progress bar on a terminal."""
    if not (progress and sys.stderr.isatty()):
        yield lambda loader: loader
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:

        def track(loader: Iterable[Any]) -> Iterable[Any]:
            total = length_hint(loader) or None  # a DataLoader may have a length that raises
            yield from bar.track(loader, total=total, description="audit")

        yield track


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return type(value).__name__
