"""Watch a model run: which modules, in which order, and every torch function inside them.

Each module gets a pre-hook and a hook, which keep a stack of the modules being run. The outermost module
entered begins a *model forward*: a `TorchFunctionMode` is pushed, which sees every torch function until that
module is left. It is pushed in every forward, which also keeps PyTorch from its fused transformer path, where
sub-modules are skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from . import compiler
from .functions import FUNCTIONS, Function
from .points import Point, Site

if TYPE_CHECKING:
    from .traced import Traced


class Frame:
    """A module being run."""

    __slots__ = ("created", "error", "module", "site")

    def __init__(self, site: Site, module: nn.Module, error: BaseException | None) -> None:
        self.site, self.module = site, module
        self.error = error  # being handled when the module was entered
        self.created: list[Point] = []  # undecided functional points directly inside


class Listener(Protocol):
    """What is told of a model forward. No torch function is overridden while it listens."""

    def begin(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """A model forward begins at `site`, with `module`; whether to tell of the rest of it."""
        ...

    def module(self, frame: Frame, args: tuple[Any, ...], output: Any) -> None:
        """A module has given its output."""

    def before(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A function is about to be called, and may overwrite what modules gave; must be cheap."""

    def function(
        self, frame: Frame, entry: Function, func: Callable[..., Any], args: tuple[Any, ...],
        kwargs: Mapping[str, Any], result: Any,
    ) -> None:  # fmt: skip
        """A function of the table was called directly inside the module of `frame`."""

    def other_function(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """Any other function was called; must be cheap where there is nothing to do."""

    def end(self, complete: bool) -> None:
        """The model forward is over; not `complete` if it raised or was interrupted."""


class Hooks:
    """The hooks on one model, and the stack of its modules being run."""

    def __init__(self, sites: Mapping[nn.Module, Site], listener: Listener, traced: Traced) -> None:
        self._sites, self._listener, self._traced = sites, listener, traced
        self._placed: dict[nn.Module, _Placed] = {}  # of all modules, while attached
        self._off: set[nn.Module] = set()  # those whose hooks are off for the time being
        self._entries = set(list(sites)[:1])  # where forwards begin: the model, and parts that were called
        self._muted: nn.Module | None = None  # entered, and not to be told of
        self._frames: list[Frame] = []
        self._thread = 0
        self._mode = _Mode(self)
        # What is traced in compiled code, to be run as it is where such code may be run or made.
        self._beside: tuple[Callable[..., None], ...] = ()

    @property
    def attached(self) -> bool:
        """Whether the hooks are on the model."""
        return bool(self._placed)

    @property
    def running(self) -> bool:
        """Whether a model forward is under way."""
        return bool(self._frames) or self._traced.trace is not None

    def attach(self, trace: bool) -> None:
        """Put the hooks on the model; `trace`: compiled code may be made with them."""
        if trace:
            compiler.skip(Hooks._enter.__code__, Hooks._leave.__code__, _Mode.__torch_function__.__code__)
            traced = (self._enter_traced, self._leave_traced, self._function_traced)
            self._beside = tuple(map(torch.compiler.disable, traced))
        self._placed = {
            module: _Placed(module, Hook(self._enter, site), Hook(self._leave, site))
            for module, site in self._sites.items()
        }

    def resume(self) -> None:
        """Put the hooks on again where they are off."""
        for module in self._off:
            self._placed[module].put_on()
        self._off.clear()

    def pause(self) -> None:
        """Take the hooks off all modules but those where forwards begin; these then say when to `resume`.

        Not where compiled code was made with the hooks: to take them off would make it compile anew.
        """
        if not self._traced.kinds and len(self._off) + len(self._entries) < len(self._placed):
            for module in self._placed.keys() - self._entries - self._off:
                self._placed[module].take_off()
                self._off.add(module)

    def recover(self) -> None:
        """No forward is under way: give up one that was cut short (by KeyboardInterrupt, say)."""
        self._muted = None
        if self._frames:
            self._frames.clear()
            self._end(complete=False)

    def detach(self) -> None:
        """Take the hooks off, and end a forward that was cut short."""
        for placed in self._placed.values():
            placed.remove()
        self._placed.clear()
        self._off.clear()
        self.recover()
        compiler.Uncompiled.release(self)
        if self._traced.trace is not None:
            self._traced.trace = None
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _enter(self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _is_compiling():
            if _is_dynamo_compiling() and not compiler.exporting():
                self._enter_traced(site, module, args, kwargs)
            return
        if _recomputing():
            return
        if not self._frames:
            if self._traced.trace is not None or (self._beside and compiler.in_region()):
                self._beside[0](site, module, args, kwargs)
                return
            if self._muted is not None and self._muted is not module:
                return
            self._thread = get_ident()
            self._entries.add(module)
            if not self._listener.begin(site, module, args, kwargs):
                self._muted = module
                self.pause()
                return
            self._muted = None
            self.resume()
            if compiler.loaded():  # compiled parts of the model too
                compiler.Uncompiled.hold(self)
            self._mode.__enter__()  # type: ignore[no-untyped-call]
        elif self._thread != get_ident():
            raise RuntimeError(
                "the audited model is called from two threads at once; call it from one thread "
                "(of nn.DataParallel, audit .module)"
            )
        self._frames.append(Frame(site, module, sys.exc_info()[1]))

    def _leave(self, site: Site, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if _is_compiling():
            if _is_dynamo_compiling() and not compiler.exporting():
                self._leave_traced(site, module, output)
            return
        if _recomputing():
            return
        if not self._frames:
            if self._muted is not None:
                if self._muted is module:
                    self._muted = None
                return
            if self._traced.trace is not None:
                raised = output is None and sys.exc_info()[1] is not None
                self._beside[1](site, module, output, raised)
            return
        if self._thread != get_ident():
            return
        frame = self._frames.pop()
        while frame.module is not module and self._frames:  # those above were left without their hook
            frame = self._frames.pop()
        complete = frame.module is module and sys.exc_info()[1] is frame.error
        try:
            if complete:
                with torch._C.DisableTorchFunction():
                    self._listener.module(frame, args, output)
        except BaseException:
            complete = False
            raise
        finally:
            if not self._frames:
                self._end(complete)

    def _end(self, complete: bool) -> None:
        self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        try:
            self._listener.end(complete)
        finally:
            compiler.Uncompiled.release(self)

    def _enter_traced(
        self, site: Site, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        if self._traced.enter(site, module, args, kwargs):
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _leave_traced(self, site: Site, module: nn.Module, output: Any, raised: bool = False) -> None:
        with torch._C.DisableTorchFunction():
            ended = self._traced.leave(site, module, output, raised)
        if ended:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _function_traced(self, func: Callable[..., Any], result: Any) -> None:
        with torch._C.DisableTorchFunction():
            self._traced.function(func, result)

    def _called(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        entry = FUNCTIONS.get(func)
        if entry is None:
            self._listener.other_function(func, args, kwargs, result)
        elif self._frames and self._thread == get_ident() and not _recomputing():
            with torch._C.DisableTorchFunction():  # another mode need not see the counting
                self._listener.function(self._frames[-1], entry, func, args, kwargs, result)


class _Mode(TorchFunctionMode):
    """Tells the hooks of every torch function of a model forward."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self._hooks = hooks

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs, hooks = kwargs or {}, self._hooks
        if hooks._traced.trace is None:
            hooks._listener.before(func, args, kwargs)
            result = func(*args, **kwargs)
            hooks._called(func, args, kwargs, result)
            return result
        result = func(*args, **kwargs)
        if _is_dynamo_compiling():
            hooks._function_traced(func, result)
        elif not compiler.at_work() and not _recomputing():
            hooks._beside[2](func, result)
        return result


def _last_first(hooks: dict[int, Any]) -> None:
    """Move the last hook to the front.

    What ``prepend=True`` does, but there the order of the dict beneath the OrderedDict stays, and in it
    torch.compile looks for hooks by their number.
    """
    for key in list(hooks)[:-1]:
        hooks[key] = hooks.pop(key)


class _Placed:
    """The two hooks of one module, which come and go at little cost: no handle is made anew."""

    def __init__(self, module: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> None:
        self._module, self._before, self._after = module, before, after
        self._handles = (
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, always_call=True),
        )
        _last_first(module._forward_pre_hooks)

    def take_off(self) -> None:
        """For the time being. The module's own dicts are changed, as its handles would do it."""
        module, (before, after) = self._module, self._handles
        module._forward_pre_hooks.pop(before.id, None)
        module._forward_pre_hooks_with_kwargs.pop(before.id, None)
        module._forward_hooks.pop(after.id, None)
        module._forward_hooks_always_called.pop(after.id, None)

    def put_on(self) -> None:
        """Again, in the same places."""
        module, (before, after) = self._module, self._handles
        module._forward_pre_hooks[before.id] = self._before
        module._forward_pre_hooks_with_kwargs[before.id] = True
        module._forward_hooks[after.id] = self._after
        module._forward_hooks_always_called[after.id] = True
        _last_first(module._forward_pre_hooks)

    def remove(self) -> None:
        """For good."""
        for handle in self._handles:
            handle.remove()


class Hook(partial[None]):
    """A bound hook that a copied or pickled model does not take along."""

    def __deepcopy__(self, memo: Any) -> Callable[..., None]:
        return _inert

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return _make_inert, ()


def _inert(*_: Any) -> None:
    """Stands for a hook in a copy of the model."""


def _make_inert() -> Callable[..., None]:
    return _inert


_graph_task_id = torch._C._current_graph_task_id
_is_compiling, _is_dynamo_compiling = torch.compiler.is_compiling, torch.compiler.is_dynamo_compiling


def _recomputing() -> bool:
    """Whether this is not the model's own forward, but a part of it again in the backward pass."""
    return _graph_task_id() != -1
