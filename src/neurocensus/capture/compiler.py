"""What `torch.compile` is told: when to run compiled models uncompiled; and what it has compiled so far.

Compiled code runs no hooks. Where hooks were on a model while it was compiled, what they do is part of the
code; where they were put on later, the code goes on without them. So compiled models run uncompiled
("force_eager") while any auditor cannot vouch for the code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any, ClassVar, TypeVar
from weakref import ReferenceType, ref

import torch
import torch.utils.checkpoint

_eval_frame: Any = getattr(torch._C._dynamo, "eval_frame", None)
_callback: Any = getattr(_eval_frame, "get_eval_frame_callback", lambda: None)
_count_frames: Any = getattr(_eval_frame, "set_fullgraph_compiled_frame_count", None)

_F = TypeVar("_F", bound=Callable[..., Any])
_TOO_OLD = (
    f"expected torch 2.6 or later to run compiled models uncompiled, got {torch.__version__}; "
    "audit before compiling, or after torch.compiler.reset()"
)


def in_region() -> bool:
    """Whether compiled code may be run, or made, of the function that is called next."""
    callback = _callback()
    return callback is not None and callback is not False


def at_work() -> bool:
    """Whether compiled code may be running, and not what it was made of (past the limit of recompiling)."""
    return _callback() is None


def loaded() -> bool:
    """Whether anything can have been compiled."""
    return "torch._dynamo" in sys.modules


def constant(function: _F) -> _F:
    """Run `function` at trace time, as it is; what `torch.compiler.assume_constant_result` does."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@constant
def exporting() -> bool:
    """Whether what is traced becomes a program of its own (`torch.export`).

    `torch.compiler.is_exporting` is traced as True by some versions, whatever it is.
    """
    return bool(getattr(torch.compiler, "_is_exporting_flag", False))


def can_trace() -> bool:
    """Whether this torch has what it takes to audit inside compiled code. Loads the compiler."""
    if not (hasattr(torch.compiler, "set_stance") and hasattr(_eval_frame, "get_eval_frame_callback")):
        return False
    from torch._dynamo import config, eval_frame

    return hasattr(eval_frame, "skip_code") and hasattr(config, "skip_nnmodule_hook_guards")


@cache
def _overridable() -> frozenset[Any]:
    functions = torch.overrides.get_overridable_functions()
    return frozenset(function for listed in functions.values() for function in listed)


def shows(function: Callable[..., Any], caller: FrameType) -> bool:
    """Whether a `TorchFunctionMode` that is traced is told of `function`, called by `caller`.

    It is told of methods and of most functions; not of what goes on inside those that it is not told of
    either (`F.sigmoid`).
    """
    if caller.f_code.co_filename == torch.nn.functional.__file__:
        return False
    return function in _overridable() or getattr(torch.Tensor, function.__name__, None) is function


def checkpointed(frame: FrameType | None, root: int) -> bool:
    """Whether an activation checkpoint is among the callers of `frame`, up to the frame with id `root`."""
    return _called_from(frame, root, lambda code: code.co_filename == torch.utils.checkpoint.__file__)


def disabled(frame: FrameType | None, root: int) -> bool:
    """Whether `torch.compiler.disable` is among the callers of `frame`, up to the frame with id `root`."""
    return _called_from(frame, root, lambda code: code is _disabling())


@cache
def _disabling() -> CodeType:
    code: CodeType = torch.compiler.disable(lambda: None).__code__  # type: ignore[no-untyped-call]
    return code


def _called_from(frame: FrameType | None, root: int, found: Callable[[CodeType], bool]) -> bool:
    while frame is not None and id(frame) != root:
        if found(frame.f_code):
            return True
        frame = frame.f_back
    return False


def skip(*codes: CodeType) -> None:
    """Let these functions, hooks called beside compiled code, run as they are; needs `can_trace`."""
    from torch._dynamo.eval_frame import skip_code

    for code in codes:
        skip_code(code)


def compiled() -> list[CodeType]:
    """All compiled code in this process, of any model or function, that may be run again."""
    if not loaded():
        return []
    from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list as entries_of
    from torch._dynamo.convert_frame import input_codes

    codes = [reference() for reference in input_codes.seen]
    return [entry.code for code in codes if code is not None for entry in entries_of(code)]


class Trusted:
    """Compiled code asks, before it is run, for the hooks that it was made with, while anyone holds this.

    By default it does not ask, and code made for another model of the same class, or for this one before the
    hooks came, would be run in its place.
    """

    _holders: ClassVar[set[object]] = set()
    _codes: ClassVar[dict[int, ReferenceType[CodeType]]] = {}  # that asks, made under earlier holders
    _prior: ClassVar[bool] = True

    @classmethod
    def all(cls) -> bool:
        """Whether all code compiled so far asks."""
        if cls._holders:
            return True
        try:
            known = {id(code): code for code in compiled()}
        except (ImportError, AttributeError):
            return False
        return all(i in cls._codes and cls._codes[i]() is code for i, code in known.items())

    @classmethod
    def hold(cls, holder: object) -> None:
        """Let code that is compiled from now on ask; needs `can_trace` and `all`."""
        from torch._dynamo import config

        if not cls._holders:
            cls._prior = config.skip_nnmodule_hook_guards
            config.skip_nnmodule_hook_guards = False
        cls._holders.add(holder)

    @classmethod
    def release(cls, holder: object) -> None:
        """Back to the default, once everyone has let go."""
        if holder in cls._holders:
            from torch._dynamo import config

            cls._holders.discard(holder)
            if not cls._holders:
                config.skip_nnmodule_hook_guards = cls._prior
                cls._codes = {id(code): ref(code) for code in compiled()}


class Uncompiled:
    """Compiled models run uncompiled while anyone holds this."""

    _holders: ClassVar[set[object]] = set()
    _stance: ClassVar[Any] = None

    @classmethod
    def hold(cls, holder: object) -> None:
        """Run compiled models uncompiled from the next call on."""
        cls._holders.add(holder)
        if not loaded():  # nothing has been compiled
            return
        if cls._stance is None or _stance_now().stance != "force_eager":
            set_stance = getattr(torch.compiler, "set_stance", None)
            if set_stance is None:
                if not Trusted.all():
                    cls._holders.discard(holder)
                    raise RuntimeError(_TOO_OLD)
                return
            cls._retire()
            cls._stance = set_stance("force_eager")

    @classmethod
    def release(cls, holder: object) -> None:
        """Let go; compiled code is run again once everyone has.

        Where the user has set a stance since, that one stays; what comes back as it ends is made the default.
        """
        cls._holders.discard(holder)
        if cls._holders or cls._stance is None:
            return
        if _stance_now() is cls._stance.stance:
            cls._stance.__exit__(None, None, None)
            cls._stance = None
        cls._retire()
        _let_pass()

    @classmethod
    def _retire(cls) -> None:
        """Our stance lies under one of the user's: what comes back with its end is to be the default."""
        if cls._stance is not None:
            object.__setattr__(cls._stance.stance, "stance", "default")
            cls._stance = None


def _stance_now() -> Any:
    from torch._dynamo import eval_frame

    return eval_frame._stance


def _let_pass() -> None:
    """Spare a ``fullgraph=True`` call, in which models are let go, the error that it compiled nothing."""
    if _count_frames is not None:
        _count_frames(-1)  # not at all
