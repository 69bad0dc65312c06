"""Audit inside compiled code: what the hooks do while `torch.compile` traces them.

The first forward of an auditor runs uncompiled and is followed (`flow`), so that every point, its axes and
its state are known. In later forwards the hooks may become part of a graph. There they call the operators of
`neurocensus.ops`, with constants and tensors out of a `Plan` that no longer changes. What does change while a
forward runs (the stack of modules, the calls of each name) is in a `Trace`, made as the forward begins and
dropped as it ends: the compiler guards on what it finds when it starts, the same for each forward.

The same code runs untraced between two graphs, where the compiler could not go on, and around a graph, where
only a module's inside is compiled and not its hooks. What has to be remembered of a forward while it is
traced goes through functions that the compiler runs as they are, for a constant result (`compiler.constant`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import ops
from ..state import UnitState
from . import compiler
from .counting import COUNTABLE, Counter, fitting
from .points import Calls, Mode, Point, Site, activation_of, batch_size
from .rows import unfolded

_NOT_READY = (
    "the audited model is being compiled before the auditor has seen it run; run it once uncompiled inside "
    "the block: with torch.compiler.set_stance('force_eager'): model(x)"
)


class Target(NamedTuple):
    """Where compiled code counts, and whether it does: `UnitState.words` or the tally, and a switch."""

    words: Tensor
    enabled: Tensor


class Emit:
    """What an operator call needs to know of one point. Its states are made as a mode is first traced."""

    def __init__(self, point: Point) -> None:
        count = next(iter(point.counts.values()))
        state = count.state
        assert isinstance(state, UnitState)
        self.point, self.name, self.device = point, point.name, count.device
        self.units, self.histogram, self.threshold = state.units, state.has_histogram, state.threshold
        self.rank, self.unit_axis, self.example_axis = point.rank, point.unit_axis, point.example_axis
        self.rows = point.rows
        self.train: Target | None = None
        self.eval: Target | None = None


class Plan:
    """The points of one name: an `Emit` for each call in a forward, None where that one is not wanted."""

    def __init__(self, name: str, emits: tuple[Emit | None, ...]) -> None:
        self.name, self.emits = name, emits


class Trace:
    """A model forward under way."""

    def __init__(self, entry: Site, module: nn.Module, examples: int) -> None:
        self.entry, self.examples = entry.name, examples
        self.training_mode: bool = module.training  # of the module that was entered
        self.sites = [entry]
        self.modules = [module]
        self.calls: dict[str, int] = {}
        self.counted: list[str] = []  # points
        self.training: list[str] = []  # points counted in training mode
        self.masked: list[str] = []  # points that a mask was used on


class Kind(NamedTuple):
    """What forwards have in common: where they began, in which mode, and what was counted; see `Trace`."""

    entry: str
    mode: Mode
    counted: tuple[str, ...]
    training: tuple[str, ...]
    masked: tuple[str, ...]


class Traced:
    """The traced side of one `Capture`.

    possible: the canonical name of a torch function that can be a point, "" of any other.
    wants: whether the point of this name is wanted where no eager forward has shown it yet.
    """

    def __init__(
        self,
        counter: Counter,
        example_axis: int | Mapping[str, int],
        possible: Callable[[Any], str],
        wants: Callable[[str], bool],
        threads: int | None,
    ) -> None:
        self._counter, self._example_axis = counter, example_axis
        self._possible_name, self._wants = possible, wants
        self._threads = threads or 0
        self.ready = False  # an eager forward has shown what there is
        self.trace: Trace | None = None
        self.kinds: list[Kind] = []
        self.missed: dict[str, None] = {}  # points that no eager forward has shown
        self.hidden: dict[str, None] = {}  # functions that an eager forward has shown, and a compiled one not
        self._expected: dict[str, dict[str, int]] = {}
        self._tally: Tensor | None = None
        self._train_tally: Target | None = None
        self._eval_tally: Target | None = None
        self._emits: list[Emit] = []
        self._enabled: dict[tuple[torch.device, Mode], Tensor] = {}
        self._on: dict[Mode, bool] = {"train": True, "eval": True}

    # Made between forwards.

    def plan(self, site: Site, own: bool) -> None:
        """Fix what is emitted at `site`, by the points known now; `own`: its output can be a point."""
        if own:
            site.plan = self._plan(site.own, site.plan)
        for function, calls in site.functions.items():
            site.function_plans[function] = self._plan(calls, site.function_plans.get(function))

    def _plan(self, calls: Calls, old: Plan | None) -> Plan:
        points = [p if p is not None and p.wanted and p.counts else None for p in calls.points]
        if old is not None and [emit and emit.point for emit in old.emits] == points:
            return old
        had = {} if old is None else {emit.point: emit for emit in old.emits if emit is not None}
        return Plan(calls.name, tuple(None if p is None else had.get(p) or self._emit(p) for p in points))

    def _emit(self, point: Point) -> Emit:
        emit = Emit(point)
        self._emits.append(emit)
        if self._tally is None:
            self._tally = self._make(2 * ops.SLOTS, emit.device)
        if self._train_tally is not None:  # planned anew: the modes that were traced are known
            emit.train = self._target(emit, "train")
        if self._eval_tally is not None:
            emit.eval = self._target(emit, "eval")
        return emit

    def _target(self, emit: Emit, mode: Mode) -> Target:
        point = emit.point
        count = point.counts.get(mode) or self._counter.begin(point, mode, emit.device)
        assert isinstance(count.state, UnitState)
        return Target(ops.static(count.state.words), self._switch(emit.device, mode))

    def _switch(self, device: torch.device, mode: Mode) -> Tensor:
        found = self._enabled.get((device, mode))
        if found is None:
            found = self._enabled[device, mode] = self._make(1, device).fill_(self._on[mode])
        return found

    @staticmethod
    def _make(size: int, device: torch.device) -> Tensor:
        with torch.inference_mode(False):  # one made in inference mode could not be updated outside of it
            return ops.static(torch.zeros(size, dtype=torch.int64, device=device))

    def expect(self, entry: Site, calls: Mapping[str, int]) -> None:
        """Note how often which functions were called in a forward that ran uncompiled."""
        self._expected[entry.name] = {name: n for name, n in calls.items() if n}

    def switch(self, mode: Mode, on: bool) -> None:
        """Let compiled code count in a mode, or not: what was compiled with the hooks may outlive them."""
        self._on[mode] = on
        for (_, switched), enabled in self._enabled.items():
            if switched == mode:
                enabled.fill_(on)

    def reset(self, mode: Mode) -> None:
        """Forget what was counted, but not what is known of the code, which is told at trace time only."""
        for slot, kind in enumerate(self.kinds):
            if self._tally is not None and kind.mode == mode:
                self._tally[[slot, ops.SLOTS + slot]] = 0

    def forwards(self) -> list[tuple[Kind, int, int]]:
        """Of each kind, how many forwards, and how many examples in them."""
        if self._tally is None or not self.kinds:
            return []
        tally = self._tally.tolist()
        return [(kind, tally[i], tally[ops.SLOTS + i]) for i, kind in enumerate(self.kinds)]

    # Traced.

    def enter(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """A module is entered; whether a model forward begins with it."""
        if self.trace is not None:
            self.trace.sites.append(site)
            self.trace.modules.append(module)
            return False
        if not self.ready:
            raise RuntimeError(_NOT_READY)
        self._prepare(module.training)
        examples = batch_size((args, kwargs), self._example_axis)
        self.trace = Trace(site, module, 0 if examples is None else examples)
        return True

    def leave(self, site: Site, module: nn.Module, output: Any, raised: bool) -> bool:
        """A module has given its output, or has `raised`; whether the model forward ends with it."""
        trace = self.trace
        if trace is None:
            return False
        trace.sites.pop()
        trace.modules.pop()
        if site.plan is not None:
            self._count(trace, site.plan, output, module.training)
        if trace.sites:
            return False
        tally = self._train_tally if trace.training_mode else self._eval_tally
        if not raised and tally is not None:
            slot = self._slot(
                trace.entry, trace.training_mode, tuple(trace.calls.items()), tuple(trace.counted),
                tuple(trace.training), tuple(trace.masked),
            )  # fmt: skip
            mask = self._counter.mask
            if mask is not None and (mask.dim() != 1 or mask.shape[0] != trace.examples):
                mask = None  # of positions: no example is left out as a whole
            ops.tick(tally.words, tally.enabled, slot, trace.examples, mask)
        self.trace = None
        return True

    def function(self, func: Callable[..., Any], result: Any) -> None:
        """A torch function was called directly inside a module."""
        trace = self.trace
        if trace is None:
            return
        site = trace.sites[-1]
        if site.role is not None:
            return
        name = self._possible(func)
        if not name:
            return
        plan = site.function_plans.get(name)
        if plan is None:
            self._miss(f"{site.name}.{name}" if site.name else name)
        else:
            self._count(trace, plan, result, trace.modules[-1].training)

    def _count(self, trace: Trace, plan: Plan, output: Any, training: bool) -> None:
        index = trace.calls.get(plan.name, 0)
        trace.calls[plan.name] = index + 1
        if index >= len(plan.emits):
            self._miss(plan.name if index == 0 else f"{plan.name}:{index + 1}")
            return
        emit = plan.emits[index]
        tensor = None if emit is None else activation_of(output)
        if emit is None or tensor is None:
            return
        target = emit.train if trace.training_mode else emit.eval
        if tensor.dtype not in COUNTABLE or tensor.device != emit.device or target is None:
            self._miss(emit.name)
            return
        rank, unit_axis = tensor.dim(), emit.unit_axis
        if rank != emit.rank and unit_axis == emit.rank - 1:
            unit_axis = max(rank - 1, 1)
        values = tensor.detach()
        values = values.unsqueeze(1) if rank == 1 else values
        values, unit_axis = unfolded(values, unit_axis, emit.rows, trace.examples)
        mask = self._counter.mask
        if mask is not None:
            mask = fitting(mask, values, unit_axis, emit.example_axis, emit.rows)
            if mask is None:
                self._unmask(trace.training_mode, emit.name, rank)
            else:
                trace.masked.append(emit.name)
        trace.counted.append(emit.name)
        if training:
            trace.training.append(emit.name)
        ops.update(
            target.words, target.enabled, values, mask, emit.name, emit.units, emit.histogram, emit.threshold,
            unit_axis, emit.example_axis, self._threads,
        )  # fmt: skip

    # Run while the compiler traces.

    @compiler.constant
    def _prepare(self, training: bool) -> None:
        """Make the states of a mode: most models are compiled in one only."""
        mode = _mode(training)
        if self._tally is None or (self._train_tally if training else self._eval_tally) is not None:
            return
        tally = Target(self._tally, self._switch(self._tally.device, mode))
        if training:
            self._train_tally = tally
        else:
            self._eval_tally = tally
        for emit in self._emits:
            setattr(emit, mode, self._target(emit, mode))

    @compiler.constant
    def _slot(
        self,
        entry: str,
        training_mode: bool,
        calls: tuple[tuple[str, int], ...],
        counted: tuple[str, ...],
        training: tuple[str, ...],
        masked: tuple[str, ...],
    ) -> int:
        """The place of this kind of forward in the tally."""
        kind, found = Kind(entry, _mode(training_mode), counted, training, masked), dict(calls)
        for name, expected in self._expected.get(entry, {}).items():
            if found.get(name, 0) < expected:
                self.hidden[name] = None
        if kind not in self.kinds:
            if len(self.kinds) == ops.SLOTS:
                raise RuntimeError(
                    f"expected at most {ops.SLOTS} different ways through the model in compiled code, got "
                    "another one; run the model uncompiled: torch.compiler.set_stance('force_eager')"
                )
            self.kinds.append(kind)
        return self.kinds.index(kind)

    @compiler.constant
    def _miss(self, name: str) -> None:
        """A point came up that no eager forward has shown."""
        if self._wants(name):
            self.missed[name] = None

    @compiler.constant
    def _unmask(self, training_mode: bool, name: str, rank: int) -> None:
        """A point was counted whole, as the mask does not fit it."""
        self._counter.unmasked.setdefault(_mode(training_mode), {}).setdefault(name, f"of {rank} axes")

    @compiler.constant
    def _possible(self, func: Callable[..., Any]) -> str:
        return self._possible_name(func)


def _mode(training: bool) -> Mode:
    return "train" if training else "eval"
