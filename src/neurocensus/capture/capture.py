"""Find the audit points of a model as it runs, module or functional, and count each on the spot.

A function called directly inside a module that is a layer itself (`nn.ReLU` calling `F.relu`) belongs to that
module; any other has the name ``<module>.<function>``. The first forward is followed by its data (`flow`), to
learn where units are and which layers an activation comes after. Until it ends these are undecided: counted
before the next function, which may overwrite them in place, and dropped later if an activation was reached;
where that function is the activation, they are not counted at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from .. import units
from ..layer import LayerAudit
from ..selection import Layers, audited_whole, check_name, select, unknown
from . import compiler, functions
from .counting import Counter, Unusable
from .flow import Flow, parameters_in
from .functions import Function, Role
from .hooks import Frame, Hooks
from .names import class_name, named_modules, unwrapped
from .points import (
    MODES,
    Calls,
    Mode,
    Point,
    Site,
    State,
    activation_of,
    batch_size,
    sequence_first,
    tensors_in,
)  # fmt: skip
from .traced import Traced

_ASKING = (Role.WEIGHT, Role.NORM)
_POINTS = (Role.ACTIVATION, Role.POOLING, Role.WHOLE, *_ASKING)
_MISSED = (
    "first reached inside compiled code, where it was not counted; run the model once uncompiled on such "
    "input inside the block, with torch.compiler.set_stance('force_eager')"
)
_HIDDEN = (
    "called in an uncompiled forward and, as far as torch.compile shows, not in each compiled one, where it "
    "was not counted; if it should have been, audit uncompiled, with torch.compiler.set_stance('force_eager')"
)
_COMPILED_BEFORE = (
    "something was compiled before the auditor was attached, and compiled code runs no hooks that came "
    "later; attach before compiling, or call torch.compiler.reset() before you attach"
)
# Attached and detached, the hooks make torch compile anew: up to twice, of the 8 times that it does so for
# one piece of code (torch._dynamo.config.recompile_limit) before it gives up on it for good.
_MOST_TRACED = 3
_OFTEN = (
    f"auditors were attached to this model {_MOST_TRACED} times before, and each makes torch compile anew, "
    "which it does a limited number of times; keep one auditor attached, and use compute() and reset()"
)
_times_traced: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


class Seen(NamedTuple):
    """How many examples and batches."""

    examples: int = 0
    batches: int = 0

    def plus(self, examples: int, batches: int) -> Seen:
        """So many more."""
        return Seen(self.examples + examples, self.batches + batches)


class _Output(NamedTuple):
    """What a module gave, to be counted."""

    point: Point
    tensor: Tensor | None
    training: bool
    sequence_first: bool


class Capture:
    """The audit points of one model, attached and counted; see `Observer` for the arguments.

    Attributes:
        wanted: whether a forward that begins in a mode (True: training) is to be counted.
        first_example: of the next forward; None: after those seen so far.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Layers,
        unit_axis: int | Mapping[str, int] | None,
        example_axis: int | Mapping[str, int],
        make_state: Callable[[int, torch.device], State],
        threads: int | None,
        apart: bool = False,
    ) -> None:
        self._apart = apart
        self._model = ref(unwrapped(model))
        self._example_axis = example_axis
        self.counter = Counter(
            unit_axis=unit_axis,
            example_axis=example_axis,
            make_state=make_state,
            threads=threads,
        )
        self._sites: dict[nn.Module, Site] = {}
        self._calls: dict[str, Calls] = {}  # a function and a module of one name share their calls
        root = class_name(unwrapped(model))
        roles = _whole(layers, model)
        for name, module, wrapper in named_modules(model):
            if wrapper and "_orig_mod" in module._modules:
                continue  # it calls the model from outside of the compiled code
            self._sites[module] = Site(
                name=name,
                own=self._calls.setdefault(name or root, Calls(name or root)),
                kind=class_name(module),
                role=roles[module] if module in roles else functions.module_role(module),
                leaf=(functions.is_leaf(module) or roles.get(module) is Role.WHOLE) and not wrapper,
                has_parameters=any(True for _ in module.parameters(recurse=False)),
                sequence_first=sequence_first(module),
                wrapper=wrapper,
            )
        inside = _inside_layers(self._sites)
        self._leaves = {s.own.name: s for m, s in self._sites.items() if s.leaf and m not in inside}
        self._modules = {s.own.name: m for m, s in self._sites.items() if not s.wrapper}
        self._owners: dict[int, list[Site]] = {}
        for module, site in self._sites.items():
            for parameter in module.parameters(recurse=False):
                self._owners.setdefault(id(parameter), []).append(site)
        self._selection = select(layers, self._modules, self._leaves, functions.NAMES, root)
        for argument, choice in (("unit_axis", unit_axis), ("example_axis", example_axis)):
            units.check_choice(choice, argument)
            for name in choice if isinstance(choice, Mapping) else ():
                check_name(name, self._modules, functions.NAMES, argument)

        self.points: dict[str, Point] = {}  # in the order in which they first fired
        self.skipped: dict[str, str] = {}  # points that cannot be counted, and why
        self.wanted: Callable[[bool], bool] = lambda training: True
        self.first_example: int | None = None
        self._functions_seen: dict[str, None] = {}
        self._used: set[str] = set()  # leaves whose parameters a function took, without calling them
        self._seen: dict[tuple[Mode, Site], Seen] = {}  # by the module that was called
        self._left_out: dict[tuple[Mode, Site], Tensor] = {}  # examples of them that the mask left out
        self._before: dict[Mode, Seen] = {}  # what went through the model before
        self._followed: set[Site] = set()
        self._preview = False  # the forward under way is followed, and then forgotten
        self._flow: Flow | None = None
        self._waiting: _Output | None = None  # an undecided output, counted at the next function
        self._latest: Function | None = None  # the last function that stated where units are
        self._forward = 0
        self._entry: Site | None = None
        self._traceable = False  # compiled code is trusted to have been made with the hooks
        self._hidden: dict[Point, str] = {}  # functional points that traced hooks would not be told of
        self._checkpointed = False
        self._root = 0
        self.uncompiled: str | None = None  # why compiled models run uncompiled
        self.traced = Traced(self.counter, example_axis, self._possible, self._wants_unseen, threads)
        self.hooks = Hooks(self._sites, self, self.traced)

    # What was seen.

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes in which the model ran."""
        traced = (kind.mode for kind, forwards, _ in self.traced.forwards() if forwards)
        ran = {*self._before, *(mode for mode, _ in self._seen), *traced}
        return tuple(mode for mode in MODES if mode in ran)

    @property
    def examples(self) -> int:
        """Examples that went through the model, in all modes (see `seen`)."""
        return sum(self.seen(mode).examples for mode in MODES)

    @property
    def batches(self) -> int:
        """Completed model forwards, in all modes."""
        return sum(self.seen(mode).batches for mode in MODES)

    def seen(self, mode: Mode) -> Seen:
        """What went through the model in a mode; through its most used part, where parts were called."""
        by_entry: dict[str, Seen] = {}
        eagerly = [
            (key[1].name, seen.plus(-int(self._left_out.get(key, 0)), 0))
            for key, seen in self._seen.items()
            if key[0] == mode
        ]
        traced = [(k.entry, Seen(e, n)) for k, n, e in self.traced.forwards() if k.mode == mode]
        for entry, seen in (*eagerly, *traced):
            by_entry[entry] = by_entry.get(entry, Seen()).plus(*seen)
        before = self._before.get(mode, Seen())
        return before.plus(*map(max, zip(*by_entry.values(), strict=True))) if by_entry else before

    def counted(self, mode: Mode | None = None) -> list[Point]:
        """The points that are wanted and have fired, in the order in which they first did."""
        modes = MODES if mode is None else (mode,)
        traced = {point for chosen in modes for point in self.traced_calls(chosen)}
        return [
            point
            for point in self.points.values()
            if point.wanted
            and (point in traced or any(m in point.counts and point.counts[m].calls for m in modes))
        ]

    def expected(self, mode: Mode | None = None) -> list[str]:
        """Names of the points that should fire: those that did, then those that have not."""
        fired = [p.name for p in self.counted(mode)]
        if self._selection.rule:
            rest = [
                name
                for name, site in self._leaves.items()
                if site.role in _POINTS and not site.called and name not in self._used
            ]
            rest += [point.name for point in self.points.values() if point.wanted]
        else:
            rest = [n for n in self._selection.expected if n not in self.skipped]
        return list(dict.fromkeys([*fired, *rest]))

    def never_fired(self, mode: Mode | None = None) -> list[str]:
        """Names of the points that should fire and have not."""
        fired = {p.name for p in self.counted(mode)}
        return [name for name in self.expected(mode) if name not in fired]

    def check_names(self) -> None:
        """Raise ValueError for a functional point, chosen by name, that the forwards so far did not have."""
        if self._selection.strict:
            for name in self.never_fired():
                if name.partition(":")[0] not in self._modules:
                    seen = [*self._functions_seen]
                    raise unknown(name, [*self._modules, *seen], [*self._modules, *seen])

    # What the hooks tell.

    def begin(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether to listen to this forward: start call indices again, and say which examples these are."""
        unfollowed = site not in self._followed
        self._preview = False
        if not self.wanted(module.training):
            # Compiled code waits for a first forward that shows the points: be shown, and forget it.
            if not self._traceable or self._followed:
                return False
            self._preview = True
        self.counter.hold_known = self._preview
        self._forward += 1
        self._entry = site
        counter = self.counter
        counter.mode = ("train" if module.training else "eval") if self._apart else ""
        seen = self._seen.get((counter.mode, site))
        counter.base = self.first_example
        if counter.base is None:
            counter.base = self._before.get(counter.mode, Seen()).plus(*(seen or Seen())).examples
        if self.traced.kinds:  # how many the compiled forwards had is known to the device
            counter.base = None
        counter.batch = batch_size((args, kwargs), self._example_axis)
        self._flow = Flow() if unfollowed else None
        self._waiting = None
        self._latest = None
        self._root = id(sys._getframe(2))  # what calls the hooks of the module that is entered
        return True

    def end(self, complete: bool) -> None:
        """Decide what is undecided, unless the forward broke off: then the next one will tell."""
        if complete:
            self._count_waiting()
        followed = self._flow is not None
        self._flow = self._waiting = None
        if not complete or self._entry is None:
            self._forget_preview(complete=False)
            return
        self._followed.add(self._entry)
        key = (self.counter.mode, self._entry)
        batch, mask = self.counter.batch or 0, self.counter.mask
        self._seen[key] = self._seen.get(key, Seen()).plus(batch, 1)
        if mask is not None and mask.dim() == 1 and len(mask) == batch:
            self._left_out[key] = self._left_out.get(key, 0) + (~mask).sum()
        for point in self.points.values():
            if point.wanted is None:
                if point.role in _ASKING and point.activated:
                    point.drop()
                else:
                    point.wanted = True
        self._forget_preview(complete=True)
        if followed and self._traceable:
            tracing = torch._C._get_tracing_state()
            torch._C._set_tracing_state(None)  # type: ignore[attr-defined] # torch.jit.trace need not see this
            try:
                self._let_trace(self._entry)
            finally:
                torch._C._set_tracing_state(tracing)  # type: ignore[attr-defined]

    # Inside compiled code.

    def attach(self, trace: bool) -> None:
        """Put the hooks on. Compiled models run uncompiled at first, and later too unless `trace`."""
        self.uncompiled = None
        if not compiler.compiled():
            _times_traced.clear()
        if not compiler.Trusted.all():
            self.uncompiled = _COMPILED_BEFORE
        elif trace and not compiler.can_trace():
            self.uncompiled = f"torch {torch.__version__} cannot compile the hooks of an audit"
        elif trace and self._times_traced() >= _MOST_TRACED:
            self.uncompiled = _OFTEN
        self._traceable = trace and self.uncompiled is None
        if self._traceable:
            compiler.Trusted.hold(self)
        compiler.Uncompiled.hold(self)
        for mode in MODES:
            self.traced.switch(mode, mode != "train" or self.wanted(True))
        self.hooks.attach(self._traceable)
        if self._traceable and self.traced.ready:
            compiler.Uncompiled.release(self)

    def detach(self) -> None:
        """Take the hooks off."""
        self.hooks.detach()
        for mode in MODES:
            self.traced.switch(mode, False)
        model = self._model()
        if self.traced.kinds and model is not None:
            _times_traced[model] = self._times_traced() + 1
        compiler.Uncompiled.release(self)
        compiler.Trusted.release(self)

    def _times_traced(self) -> int:
        model = self._model()
        return 0 if model is None else _times_traced.get(model, 0)

    def reset(self, mode: Mode | None = None) -> None:
        """Forget what was counted, in one mode or in all; keep what is known of the model: points, axes."""
        for chosen in MODES if mode is None else (mode,):
            for key in [key for key in self.counter.known if key[1] == chosen]:
                del self.counter.known[key]
            self._before.pop(chosen, None)
            self._forget(chosen)

    def _forget_preview(self, *, complete: bool) -> None:
        if not self._preview:
            return
        self._preview = self.counter.hold_known = False
        self._forget(self.counter.mode)
        for point in self.points.values():
            if complete:  # its states are the ones that compiled code will count into
                self.counter.go_on(point)
            else:
                point.counts.pop(self.counter.mode, None)

    def _forget(self, mode: Mode) -> None:
        for point in self.points.values():
            if mode in point.counts:
                point.counts[mode].reset()
        for counts in (self._seen, self._left_out):
            for key in [key for key in counts if key[0] == mode]:
                del counts[key]
        self.counter.unmasked.pop(mode, None)
        self.traced.reset(mode)

    def go_on(self, mode: Mode, examples: int, batches: int, layers: Mapping[str, LayerAudit]) -> None:
        """Count on from what was counted before, in place of nothing."""
        self._before[mode] = Seen(examples, batches)
        for name, layer in layers.items():
            self.counter.known[name, mode] = layer

    def switch_training(self, on: bool) -> None:
        """Forwards in training mode are counted from now on, or not; `wanted` says the same."""
        if self.hooks.attached:
            self.traced.switch("train", on)
            if on:
                self.hooks.resume()

    def _let_trace(self, entry: Site) -> None:
        """Plan what compiled code does, and let models be compiled once all of this one has been seen."""
        for site in self._sites.values():
            if self._selection.rule:
                own = site.role in _POINTS
            else:
                own = site.own.name in self._selection.modules and not site.wrapper
            self.traced.plan(site, own)
        hidden = [f"{point.name} ({function})" for point, function in self._hidden.items() if point.wanted]
        if hidden:
            self.uncompiled = f"torch.compile does not show these functions to an audit: {', '.join(hidden)}"
        elif self._checkpointed:
            self.uncompiled = "torch.compile runs what is inside an activation checkpoint a second time"
        if self.uncompiled:
            self._traceable = self.traced.ready = False
            compiler.Uncompiled.hold(self)
            return
        functional = [calls for site in self._sites.values() for calls in site.functions.values()]
        self.traced.expect(entry, {c.name: c.called(self._forward) for c in functional})
        self.traced.ready = True
        # Parts that are called by themselves come one by one; a part of the whole may be for training only.
        if not entry.name or all(site.called or n in self._used for n, site in self._leaves.items()):
            compiler.Uncompiled.release(self)

    def _possible(self, func: Callable[..., Any]) -> str:
        entry = functions.FUNCTIONS.get(func)
        return entry.name if entry is not None and self._functional_point_possible(entry) else ""

    def _wants_unseen(self, name: str) -> bool:
        selection, base = self._selection, name.partition(":")[0]
        if selection.rule:
            return True
        function = selection.function is not None and selection.function(base)
        return selection.calls(name) and (function or base in selection.modules)

    def traced_calls(self, mode: Mode) -> dict[Point, int]:
        """How often the points were counted in compiled code; notes training and masks on them."""
        found: dict[Point, int] = {}
        for kind, forwards, _ in self.traced.forwards():
            for name in kind.counted if forwards and kind.mode == mode else ():
                point = self.points[name]
                found[point] = found.get(point, 0) + forwards
                point.counts[mode].training |= name in kind.training
                point.counts[mode].masked |= name in kind.masked
        return found

    def left_out(self) -> dict[str, str]:
        """Points that were not counted, or not always, and why."""
        hidden = [
            name for name in self.traced.hidden if any(p and p.wanted for p in self._calls[name].points)
        ]
        return self.skipped | dict.fromkeys(self.traced.missed, _MISSED) | dict.fromkeys(hidden, _HIDDEN)

    # What the hooks tell, of single calls.

    def module(self, frame: Frame, args: tuple[Any, ...], output: Any) -> None:
        """Count the output of a module, if it is an audit point."""
        site = frame.site
        site.called = True
        if self._flow is not None:
            self._follow_module(frame, args, output)
            if self._traceable:
                self._checkpointed |= compiler.checkpointed(sys._getframe(1), self._root)
        if self._selection.rule:
            if site.role not in _POINTS:
                return
        elif site.own.name not in self._selection.modules or site.wrapper:
            return
        index = site.own.next(self._forward)
        point = site.own.points[index]
        if point is None:
            point = self._new(site.own, index, site.kind, site.role or Role.PASS)
            if self._flow is None and self._selection.rule:
                self._flow = Flow()  # control flow led to a new point: follow the rest of this forward
        if point.wanted is False:
            return
        tensor = activation_of(output)
        if self._flow is not None and tensor is not None and self._selection.rule:
            self._flow.add(tensor, point, "a module audited whole" if site.role is Role.WHOLE else "")
        output_now = _Output(point, tensor, frame.module.training, site.sequence_first)
        self._count_waiting()
        if self._flow is not None and point.wanted is None and point.role in _ASKING:
            self._waiting = output_now
        else:
            self._count(*output_now)

    def before(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Count an output that waits, before it is overwritten; spare it if its activation comes now."""
        if self._waiting is None:
            return
        point, tensor = self._waiting[:2]
        entry = functions.FUNCTIONS.get(func)
        if entry is not None and args and args[0] is tensor and self._flow is not None:
            role = functions.role_of_call(entry, args, kwargs, False)
            if role is Role.ACTIVATION and self._flow.mark(tensor).source is point:
                self._waiting = None  # `end` drops the point
                return
        with torch._C.DisableTorchFunction():
            self._count_waiting()

    def _count_waiting(self) -> None:
        if self._waiting is not None:
            output, self._waiting = self._waiting, None
            self._count(*output)

    def _follow_module(self, frame: Frame, args: tuple[Any, ...], output: Any) -> None:
        """Complete what the functions inside a module told: opaque modules, and custom layers."""
        assert self._flow is not None
        site = frame.site
        tensor = activation_of(output)
        if tensor is None:
            return
        if not self._flow.knows(tensor) and not isinstance(tensor, nn.Parameter):
            self._flow.follow(site.role or Role.PASS, None, None, args, {}, output)
        if self._selection.rule and site.role is None and site.leaf and site.name:
            self._adopt(frame, tensor)

    def _adopt(self, frame: Frame, output: Tensor) -> None:
        """Make a custom leaf module a layer, where it works on after its activation or weight function.

        `x * sigmoid(x)` (Swish) or `addmm(...).view(...)` (a linear layer by hand): what leaves the module is
        the layer's output, so the module takes the place of the function.
        """
        assert self._flow is not None
        mark = self._flow.mark(output)
        inner = mark.carries.intersection(frame.created)
        weights = [p for p in frame.created if p.role in _ASKING]
        if not inner or mark.source in inner or any(p.role is Role.POOLING for p in frame.created):
            return
        if len(frame.created) > 1 and (weights or frame.site.has_parameters):
            return
        frame.site.role = Role.WEIGHT if weights else Role.ACTIVATION
        for point in frame.created:
            point.drop()

    def function(
        self, frame: Frame, entry: Function, func: Callable[..., Any], args: tuple[Any, ...],
        kwargs: Mapping[str, Any], result: Any,
    ) -> None:  # fmt: skip
        """Follow a function of the table, and count its result, if it is an audit point."""
        if entry.units != "keep":
            self._latest = entry
        inside_layer = frame.site.role is not None
        if inside_layer and self._flow is None:
            return
        calls, index, point = None, 0, None
        if not inside_layer and self._functional_point_possible(entry):
            calls = self._calls_of(frame.site, entry.name)
            index = calls.next(self._forward)
            point = calls.points[index]
        if self._flow is None:
            if calls is None or (point is not None and point.wanted is False):
                return
            if point is None:
                if not self._selection.rule and not self._wants(calls, index):
                    return
                self._flow = Flow()  # control flow led to a new point: follow the rest of this forward

        role = entry.role
        if self._flow is not None:
            role = self._role(entry, args, kwargs)
            if calls is not None and point is None:
                point = self._functional(calls, index, entry.name, role)
            if point is not None and point.wanted is None:
                frame.created.append(point)
            if point is not None and self._traceable:
                caller = sys._getframe(3)  # of the function: this, the hooks, their function mode, the model
                if not compiler.shows(func, caller) or compiler.disabled(caller, self._root):
                    self._hidden[point] = getattr(func, "__name__", str(func))
                self._checkpointed |= compiler.checkpointed(caller, self._root)
            mark = point if self._selection.rule else None
            self._flow.follow(role, entry, func, args, kwargs, result, mark)
        if point is not None and point.wanted is not False:
            self._count(point, activation_of(result), frame.module.training, False)

    def other_function(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """Follow any other function."""
        if self._flow is not None:
            with torch._C.DisableTorchFunction():
                self._flow.follow(Role.PASS, None, func, args, kwargs, result)

    # Audit points.

    def _functional_point_possible(self, entry: Function) -> bool:
        return entry.role in _POINTS if self._selection.rule else self._selection.function is not None

    def _calls_of(self, site: Site, function: str) -> Calls:
        found = site.functions.get(function)
        if found is None:
            name = f"{site.name}.{function}" if site.name else function
            found = site.functions[function] = self._calls.setdefault(name, Calls(name))
        return found

    def _role(self, entry: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Role:
        assert self._flow is not None
        for parameter in parameters_in(args, kwargs):
            self._used.update(site.own.name for site in self._owners.get(id(parameter), ()))
        known = [self._flow.mark(t).parameter for t in tensors_in((*args, *kwargs.values()))]
        if known and all(known):
            return Role.PASS  # arithmetic on weights alone
        return functions.role_of_call(entry, args, kwargs, any(known))

    def _functional(self, calls: Calls, index: int, name: str, role: Role) -> Point | None:
        """The point of a function's call, made if it is to be one."""
        self._functions_seen[calls.point_name(index)] = None
        if self._selection.rule:
            if role not in _POINTS:
                return self._new(calls, index, name, role, wanted=False)
        elif not self._wants(calls, index):
            return None
        return self._new(calls, index, name, role)

    def _wants(self, calls: Calls, index: int) -> bool:
        chosen = self._selection.function
        return chosen is not None and chosen(calls.name) and self._selection.calls(calls.point_name(index))

    def _new(self, calls: Calls, index: int, kind: str, role: Role, wanted: bool | None = None) -> Point:
        point = Point(calls.point_name(index), kind, role, wanted)
        if not self._selection.rule:
            point.wanted = self._selection.calls(point.name)
        calls.points[index] = point
        if point.wanted is not False:
            self.points[point.name] = point
        return point

    def _count(self, point: Point, tensor: Tensor | None, training: bool, sequence_first: bool) -> None:
        try:
            if not point.units and tensor is not None:
                if self._flow is not None:
                    point.rows = self._flow.rows(tensor, self.counter.batch)
                self.counter.place(point, tensor, self._origin(tensor), sequence_first)
            self.counter.count(point, tensor, training)
        except Unusable as error:
            if self._selection.strict:
                raise error.kind(f"layer {point.name!r}: {error}") from None
            self.skipped[point.name] = str(error)
            point.drop()
        except (TypeError, ValueError) as error:
            raise type(error)(f"layer {point.name!r}: {error}") from error

    def _origin(self, tensor: Tensor) -> tuple[int, str] | None:
        if self._flow is not None:
            known = self._flow.origin(tensor)
            if known is not None:
                return known
        if self._latest is None or tensor.dim() < 2:
            return None
        if self._latest.units == "last" or tensor.dim() == 2:
            return tensor.dim() - 1, f"last axis: after {self._latest.name}, as far as seen"
        return 1, f"axis 1: after {self._latest.name}, as far as seen"


def _whole(layers: Layers, model: nn.Module) -> dict[nn.Module, Role]:
    """The roles of the modules that are layers with all there is inside, and of those inside."""
    wholes = [m for _, m, wrapper in named_modules(model) if not wrapper and audited_whole(layers, m)]
    inside = {child: Role.PASS for whole in wholes for child in whole.modules() if child is not whole}
    return dict.fromkeys(wholes, Role.WHOLE) | inside


def _inside_layers(sites: Mapping[nn.Module, Site]) -> set[nn.Module]:
    """Modules inside one that is a layer as a whole: its own affair."""
    return {
        child
        for module, site in sites.items()
        if site.role is not None
        for child in module.modules()
        if child is not module
    }
