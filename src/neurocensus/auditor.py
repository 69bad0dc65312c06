"""`Auditor`, for your own loop, and `audit`, for one call."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ._version import __version__
from .arguments import integer
from .capture.names import class_name, unwrapped
from .capture.points import MODES, Mode
from .distributed.sampling import own_examples
from .merging import join, shards
from .native import cuda_counts
from .observer import UNDER_WAY, Observer
from .result import Audit, LayerAudit
from .resuming.checkpoint import Checkpoint
from .resuming.identity import identity
from .running import device_of, run
from .selection import Layers
from .state import UnitState

_APART: Final[tuple[Mode, ...]] = ("train", "eval")


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

    In a training loop, `step` says where the steps of the optimizer end; from then on forwards in training
    mode are counted in every n-th step only, and cost next to nothing in the others::

        with Auditor(model, every_n_steps=50) as auditor:
            for x, y in loader:
                loss(model(x), y).backward()
                optimizer.step()
                optimizer.zero_grad()
                auditor.step()

    What a model gives in training mode is kept apart from what it gives in eval mode; the mode of the module
    that is called decides.

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
        every_n_steps: count forwards in training mode in steps 0, n, 2n, ... only. Without a call of `step`
            all is one step. Forwards in eval mode are always counted.
        window: (first, stop): count them in steps from `first` to before `stop` only; `stop` may be None.

    Attributes:
        mask: bool tensor (examples, *positions) for the forwards to come, True where to count, or None. It
            covers a layer's first positions, later ones go with them, also where the model folds positions
            into rows; layers with none are counted on examples with any position kept; others, and rows
            picked by an index (experts), are counted whole, with a warning.

    Raises:
        TypeError: `model` is not an eager `nn.Module`.
        ValueError: a layer name that does not exist, an axis out of range, an uninitialized lazy module, an
            `every_n_steps` below 1, a window that holds no step.
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
        every_n_steps: int = 50,
        window: tuple[int, int | None] | None = None,
    ) -> None:
        self._every, self._window = integer("every_n_steps", every_n_steps, 1), _window(window)
        self._steps = 0
        self._active = self._due()
        self._resumed: dict[Mode, Audit] = {}
        self._parts: dict[Mode, tuple[str, ...]] = {}  # shards that were gone on from
        self._whole: dict[Mode, Audit] = {}  # what all processes had counted at the last `sync`
        UnitState(1, threshold=threshold, histogram=histogram)  # raise now, not at the first forward
        self._threshold, self._histogram = float(threshold), histogram
        super().__init__(
            model,
            make_state=functools.partial(_state_for, threshold=threshold, histogram=histogram),
            layers=layers,
            unit_axis=unit_axis,
            example_axis=example_axis,
            threads=threads,
            trace=True,  # inside compiled code, where possible
            apart=True,
        )
        self._capture.wanted = self._wanted

    # Steps.

    @property
    def steps(self) -> int:
        """The number of the step under way, from 0."""
        return self._steps

    @property
    def active(self) -> bool:
        """Whether forwards in training mode are counted in this step."""
        return self._active

    def step(self, number: int | None = None) -> None:
        """Say that a step of the optimizer is over. Costs next to nothing.

        Args:
            number: of the step that begins now; default: one more. Give it where training goes on from a
                checkpoint, or where steps are counted otherwise. Where numbers jump over a multiple of
                `every_n_steps`, the step that they come to is counted in its place.
        """
        before, self._steps = self._steps, self._steps + 1 if number is None else integer("number", number, 0)
        self._capture.hooks.recover()
        active = self._active if self._steps == before else self._due(before)
        if active != self._active:
            self._active = active
            self._capture.switch_training(active)

    def _due(self, before: int = -1) -> bool:
        """Whether this step is to be counted; the one before it was number `before`."""
        (first, stop), now = self._window, self._steps
        last_due = now - now % self._every
        due = last_due > before if before < now else last_due == now
        return due and first <= now and (stop is None or now < stop)

    def _wanted(self, training: bool) -> bool:
        return self._active or not training

    # Results.

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes in which the model was seen: "train", "eval"."""
        here = {*self._capture.modes, *(mode for mode, audit in self._whole.items() if audit.batches)}
        return tuple(mode for mode in MODES if mode in here)

    def compute(self, mode: Literal["train", "eval"] | None = None, *, reset: bool = False) -> Audit:
        """What was counted so far, as a copy: go on, and compute again.

        Warns of points that could not be counted and of layers that the mask did not fit.

        Args:
            mode: of what was seen in training mode ("train") or in eval mode ("eval"); default: the one in
                which the model was seen.
            reset: begin anew with this mode: the next result is of what comes from now on.

        Raises:
            ValueError: both modes were seen, and `mode` does not say which; or it is something else.
            RuntimeError: to be reset inside a forward of the model.
        """
        if mode is None and len(self.modes) > 1:
            raise ValueError(
                "mode: the model was seen in training mode and in eval mode, which are kept apart; say "
                'which: compute("train") or compute("eval")'
            )
        chosen = _checked(mode or ("train" if self.modes == ("train",) else "eval"))
        self._warn(chosen)
        whole, local = self._whole.get(chosen), self._local(chosen)
        result = local if whole is None else join(whole, local)
        if reset:
            self._begin_anew(chosen)
        return result

    def reset(self, mode: Literal["train", "eval"] | None = None) -> None:
        """Forget what was counted; the steps go on.

        Args:
            mode: only what was seen in this mode, at little cost: what is known of the model is kept.
                Default: everything, and the next forward is the first again.

        Raises:
            RuntimeError: inside a forward of the model.
            ValueError: another `mode`.
        """
        if mode is not None:
            self._begin_anew(_checked(mode))
            return
        super().reset()
        self._resumed.clear()
        self._parts.clear()
        self._whole.clear()

    def resume(self, audit: Audit, mode: Literal["train", "eval"] = "eval") -> None:
        """Go on from an earlier audit of this model: its counts, examples and batches are where this begins.

        What is counted is the same, bit for bit, as if counting had not stopped, where batches are the same.
        The result remembers the audit as a shard (`Audit.parts`): merged with it, it is refused.

        Args:
            mode: in which the audit was made.

        Raises:
            RuntimeError: the model has been seen already.
            TypeError: no audit.
            ValueError: the audit is of another model, threshold or mode, or has no histogram where one is
                counted; or, when the layer is seen, of another kind or number of units.
        """
        if not isinstance(audit, Audit):
            raise TypeError(f"audit: expected an Audit, got {type(audit).__name__}; neurocensus.load a file")
        if _checked(mode) == "eval" and audit.layers and all(x.training for x in audit.layers.values()):
            raise ValueError('audit: expected one of eval mode, got one of training mode; give mode="train"')
        self._go_on(mode, audit)
        self._parts[mode] = shards(audit)

    def _go_on(self, mode: Mode, audit: Audit) -> None:
        if self.modes:
            raise RuntimeError("resume: expected an auditor that has seen nothing yet; resume before you run")
        name = class_name(unwrapped(self._model))
        histogram = {layer.state.has_histogram for layer in audit.layers.values()} - {self._histogram}
        for what, expected, got in (
            ("model", name, audit.model),
            ("threshold", self._threshold, audit.threshold),
            ("histogram", self._histogram, not self._histogram if histogram else self._histogram),
        ):
            if expected != got:
                raise ValueError(f"audit: expected {what} {expected!r}, got {got!r}; audit anew")
        self._resumed[mode] = audit
        self._capture.go_on(mode, audit.examples, audit.batches, audit.layers)

    def _local(self, mode: Mode, examples: int | None = None, batches: int | None = None) -> Audit:
        """What this process counted; `examples` and `batches` where the caller knows them."""
        capture, before = self._capture, self._resumed.get(mode)
        traced, seen = capture.traced_calls(mode), capture.seen(mode)
        layers = {} if before is None else dict(before.layers)
        for point in capture.counted(mode):
            count, first = point.counts[mode], layers.get(point.name, point)  # first: as it was first seen
            layers[point.name] = LayerAudit(
                name=point.name,
                state=count.total(),
                kind=point.kind,
                unit_axis=point.unit_axis,
                unit_rule=first.unit_rule,
                example_axis=point.example_axis,
                dtype=first.dtype,
                training=count.training,
                calls=count.calls + traced.get(point, 0),
                masked=count.masked,
            )
        expected, missing = capture.expected(mode), capture.never_fired(mode)
        if before is not None:  # missing as a whole is what is missing in each part
            missing = [name for name in missing if name in before.never_fired and name not in layers]
            expected = [*layers, *missing]
        return Audit(
            layers,
            model=class_name(unwrapped(self._model)),
            examples=seen.examples if examples is None else examples,
            batches=seen.batches if batches is None else batches,
            expected=list(dict.fromkeys(expected)),
            never_fired=[name for name in missing if name not in layers],
            threshold=self._threshold,
            versions=_versions(),
            parts=self._parts.get(mode, ()),
        )

    def _nothing(self) -> Audit:
        """The audit of no example: it does not know what should have fired."""
        name = class_name(unwrapped(self._model))
        return Audit({}, model=name, examples=0, batches=0, threshold=self._threshold, versions=_versions())

    def _begin_anew(self, mode: Mode) -> None:
        if self._capture.hooks.running:
            raise RuntimeError(f"reset: {UNDER_WAY}")
        self._capture.reset(mode)
        self._resumed.pop(mode, None)
        self._parts.pop(mode, None)
        self._whole.pop(mode, None)

    # Other processes.

    def sync(
        self,
        group: torch.distributed.ProcessGroup | None = None,
        *,
        order: Literal["consecutive", "interleaved"] = "consecutive",
        timeout: float = 300.0,
    ) -> None:
        """Join what all processes of a group have counted: `compute` then gives the whole, on each of them.

        All processes call it, whatever they have seen. Training may go on, and sync again: nothing is counted
        twice. Where it fails, what was counted stays as it was.

        Args:
            group: default: all processes.
            order: how examples are numbered: "consecutive": those of the first process, then those of the
                second, ...; "interleaved": dealt in turn, as `torch.utils.data.DistributedSampler` does.
            timeout: seconds to wait for the other processes.

        Raises:
            RuntimeError: no process group; inside a forward; a process that does not answer, by its rank.
            ValueError: the processes have different models or settings.
        """
        from .distributed.gathering import gather_all

        if self._capture.hooks.running:
            raise RuntimeError(f"sync: {UNDER_WAY}")
        # In one meeting, so that no rank joins what it has of one mode with what others have of the other.
        found = gather_all([self._local(mode) for mode in _APART], group, order=order, timeout=timeout)
        for mode, audit in zip(_APART, found, strict=True):
            whole = self._whole.get(mode)
            self._begin_anew(mode)
            self._whole[mode] = audit if whole is None else join(whole, audit)


def _checked(mode: str) -> Mode:
    for known in _APART:
        if mode == known:
            return known
    raise ValueError(f'mode: expected "train" or "eval", got {mode!r}')


def _versions() -> dict[str, str]:
    return {"neurocensus": __version__, "torch": torch.__version__, "numpy": np.__version__}


def _window(window: Any) -> tuple[int, int | None]:
    if window is None:
        return 0, None
    if not isinstance(window, tuple) or len(window) != 2:
        raise TypeError(f"window: expected (first step, step to stop before or None), got {window!r}")
    first, stop = integer("window[0]", window[0], 0), window[1]
    return first, None if stop is None else integer("window[1]", stop, first + 1)


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
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
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
        checkpoint: a file to save what was counted in, whenever `checkpoint_every` examples have gone by (at
            the end of a batch), and at the end; see docs/resume.md. It stays: remove it when you have saved
            the audit.
        checkpoint_every: how many examples.
        resume: go on from `checkpoint`, if there is such a file: the result is bit for bit that of an audit
            that was not interrupted. If that came to its end, it is returned at once.

    Of a DataLoader with a `torch.utils.data.DistributedSampler`, the examples that this process gets are
    counted, without those that the sampler repeats; `neurocensus.distributed.gather` makes a whole of them.

    Raises:
        TypeError: a loader that is a single array, a batch that needs `forward`.
        ValueError: no examples, a layer name that does not exist, nothing to count; a checkpoint that is
            damaged or of another audit, a loader that gives other batches than those that were counted.
        FileExistsError: there is a checkpoint, and `resume` was not said.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    auditor = Auditor(
        unwrapped(model), layers=layers, unit_axis=unit_axis, example_axis=example_axis, threshold=threshold,
        histogram=histogram, threads=threads,
    )  # fmt: skip
    saved = None
    if checkpoint is not None:
        if checkpoint_every is None and not resume:
            raise ValueError(
                "checkpoint_every: expected a number of examples, since checkpoint is given, got None"
            )
        settings = {
            "layers": layers, "unit axis": unit_axis, "example axis": example_axis, "histogram": histogram,
            "threshold": float(threshold), "device": device_of(auditor.model) if device is None else device,
            "max examples": max_examples, "mask": mask, "forward": forward,
        }  # fmt: skip
        saved = Checkpoint(
            checkpoint, every=checkpoint_every, resume=resume, of=identity(auditor.model, loader, settings)
        )
    elif checkpoint_every is not None or resume:
        given = "resume" if checkpoint_every is None else "checkpoint_every"
        raise ValueError(f"{given}: expected checkpoint too, the path of a file; give checkpoint=")
    return audited(
        auditor, loader, device=device, max_examples=max_examples, mask=mask, forward=forward,
        progress="audit" if progress else None, checkpoint=saved,
    )  # fmt: skip


def audited(
    auditor: Auditor,
    loader: Iterable[Any],
    *,
    max_examples: int | None = None,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> Audit:
    """Run the model of `auditor`, which has seen nothing yet, over `loader`: what `audit` does.

    Args:
        max_examples, options: see `neurocensus.running.run`.
        checkpoint: where to go on from, and to save to.
    """
    auditor.trace = False
    own = own_examples(loader) if isinstance(loader, DataLoader) else None
    if own == 0:  # more processes than examples
        return auditor._nothing()
    if own is not None:  # after these the sampler repeats
        max_examples = own if max_examples is None else min(own, max_examples)
    if checkpoint is not None:
        checkpoint.begin(auditor)
        if checkpoint.done is not None:
            return checkpoint.done
    examples, batches = run(auditor, loader, max_examples=max_examples, checkpoint=checkpoint, **options)
    auditor._warn("eval")
    result = auditor._local("eval", examples, batches) if batches else auditor._nothing()
    if checkpoint is not None:
        checkpoint.end(result)
    return result
