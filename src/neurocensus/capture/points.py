"""Audit points: what is remembered of each, and how one output is counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import torch
from torch import Tensor, nn

from .functions import Role
from .rows import Rows

if TYPE_CHECKING:
    from .traced import Plan


class State(Protocol):
    """What is kept of a point: a `UnitState`, or another thing that takes the same outputs."""

    @property
    def units(self) -> int:
        """Number of units."""
        ...

    def update(
        self,
        array: Any,
        unit_axis: int = 1,
        *,
        example_axis: int = 0,
        mask: Any = None,
        first_example: int | None = None,
        threads: int | None = None,
    ) -> Any:
        """Take in an output; the arguments are those of `UnitState.update`."""
        ...

    def merge(self, other: Any) -> Any:
        """Fold in another one, of the same kind, of outputs on another device."""
        ...

    def copy(self, device: str | None = None) -> Any:
        """A state of its own with the same content."""
        ...

    def reset(self) -> None:
        """Forget everything seen."""
        ...


Mode = Literal["train", "eval", ""]
"""What is kept apart: what a model gives in training and in eval mode; "" where that makes no difference."""
MODES: Final[tuple[Mode, ...]] = ("train", "eval", "")


@dataclass(eq=False, slots=True)
class Count:
    """What was counted of one point in one mode."""

    state: State
    device: torch.device  # of the outputs that `state` counts
    elsewhere: dict[torch.device, State] = field(default_factory=dict)  # of outputs on other devices
    calls: int = 0
    training: bool = False  # the point's own module was in training mode at some time
    masked: bool = False

    def states(self) -> Iterator[State]:
        """The state of each device."""
        yield self.state
        yield from self.elsewhere.values()

    def total(self) -> Any:
        """What was counted on all devices, as one state on the host. Waits for them."""
        out = self.state.copy("cpu")
        for state in self.elsewhere.values():
            out.merge(state)
        return out

    def reset(self) -> None:
        """Forget what was counted; the states stay where they are."""
        self.calls, self.training, self.masked = 0, False, False
        for state in self.states():
            state.reset()


@dataclass(eq=False, slots=True)
class Point:
    """One audit point. `wanted` is None until the first forward has shown whether an activation follows."""

    name: str
    kind: str
    role: Role
    wanted: bool | None = None
    activated: bool = False  # an activation function was reached from this output
    units: int = 0  # 0 until the point is placed
    rank: int = 0
    unit_axis: int = 0
    unit_rule: str = ""
    example_axis: int = 0
    rows: Rows = Rows.EXAMPLES
    dtype: str = ""
    counts: dict[Mode, Count] = field(default_factory=dict)

    def drop(self) -> None:
        """Decide against this point and free what it holds."""
        self.wanted = False
        self.counts.clear()

    def total(self, mode: Mode = "") -> Any:
        """What was counted in a mode, as one state on the host. Waits for the devices."""
        return self.counts[mode].total()


@dataclass(eq=False, slots=True)
class Calls:
    """The points of one name, a module's or a function's: one per call within a model forward."""

    name: str
    points: list[Point | None] = field(default_factory=list)
    _forward: int = -1
    _count: int = 0

    def next(self, forward: int) -> int:
        """Index of this call within model forward number `forward`, from 0."""
        if forward != self._forward:
            self._forward, self._count = forward, 0
        index = self._count
        self._count += 1
        if index == len(self.points):
            self.points.append(None)
        return index

    def called(self, forward: int) -> int:
        """Calls so far within model forward number `forward`."""
        return self._count if forward == self._forward else 0

    def point_name(self, index: int) -> str:
        """``relu``, ``relu:2``, ``relu:3``, ..."""
        return self.name if index == 0 else f"{self.name}:{index + 1}"


@dataclass(eq=False, slots=True)
class Site:
    """A module of the model: its name in the user's model, its own points and those of functions inside."""

    name: str
    own: Calls
    kind: str
    role: Role | None  # None: not a layer by itself; functions inside it are points of their own
    leaf: bool
    has_parameters: bool
    sequence_first: bool
    wrapper: bool
    called: bool = False
    functions: dict[str, Calls] = field(default_factory=dict)
    plan: Plan | None = None  # of its own points, once it can be traced
    function_plans: dict[str, Plan] = field(default_factory=dict)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of an output, in order: of tuples, lists, mappings (ModelOutput) and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from tensors_in(getattr(value, entry.name, None))


def activation_of(output: Any) -> Tensor | None:
    """The tensor that stands for an output: the first floating-point one, else the first, else None."""
    if isinstance(output, Tensor):
        return output
    first = None
    for tensor in tensors_in(output):
        if tensor.is_floating_point():
            return tensor
        first = tensor if first is None else first
    return first


def sequence_first(module: nn.Module) -> bool:
    """Whether a recurrent or attention module gives (sequence, batch, features)."""
    return isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and not module.batch_first


def batch_size(inputs: Any, example_axis: int | Mapping[str, int]) -> int | None:
    """Examples in the first tensor of `inputs`; None if there is no tensor."""
    axis = example_axis if isinstance(example_axis, int) else 0
    for tensor in tensors_in(inputs):
        if tensor.dim() > 0:
            return tensor.shape[axis] if -tensor.dim() <= axis < tensor.dim() else tensor.shape[0]
    return None
