"""Which torch functions matter to an audit, under which name, and which modules stand for them.

One table, keyed by the function objects that a `TorchFunctionMode` is given: the variants of a function
(`torch.nn.functional`, `torch`, `Tensor` method, in place) share one entry and one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import activation, batchnorm, conv, instancenorm, pooling


class Role(Enum):
    """What a function or a module does to the question "is there an activation after this layer?"."""

    ACTIVATION = auto()  # answers it: yes
    POOLING = auto()  # an audit point itself; passes the question on
    WEIGHT = auto()  # asks it; answers it for its own input: no
    NORM = auto()  # asks it, and passes its input's question on
    WHOLE = auto()  # one audit point with all that is inside; the functions there answer what they answer
    MIX = auto()  # sums over units without parameters (attention): answers no, asks nothing
    PASS = auto()  # everything else


@dataclass(frozen=True, slots=True)
class Function:
    """An entry of the table: the function's canonical name, its role and where it puts units.

    units: an axis ("last", or "channel" for axis 1 of a batch), or "keep".
    spatial: number of spatial dimensions, where the function takes unbatched input too; 0 otherwise.
    """

    name: str
    role: Role
    units: str = "keep"
    spatial: int = 0


_SPACES: tuple[object, ...] = (F, torch, Tensor, torch._C._nn, torch.special)

_ACTIVATIONS = (
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish glu hardtanh hardsigmoid hardswish "
    "hardshrink softshrink tanhshrink softsign softplus sigmoid logsigmoid tanh erf threshold "
    "clamp clamp_min clip"
)
_POOLINGS = "max_pool avg_pool lp_pool adaptive_max_pool adaptive_avg_pool fractional_max_pool"
_MATMULS = (
    "matmul __matmul__ __rmatmul__ mm bmm mv addmm baddbmm addbmm einsum tensordot grouped_mm _grouped_mm"
)
_RECURRENT = "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
_NAMED_PASSES = (
    "softmax log_softmax dropout alpha_dropout feature_alpha_dropout dropout1d dropout2d dropout3d normalize "
    "add sub mul div cat stack interpolate pad pixel_shuffle local_response_norm"
)
_ALIASES = {
    "special_expit": "sigmoid", "expit": "sigmoid", "log_sigmoid": "logsigmoid", "multiply": "mul",
    "divide": "div", "true_divide": "div", "subtract": "sub", "concat": "cat", "concatenate": "cat",
}  # fmt: skip


def _build() -> dict[Callable[..., Any], Function]:
    table: dict[Callable[..., Any], Function] = {}

    def add(names: str | Iterable[str], role: Role, units: str = "keep", spatial: int = 0) -> None:
        for name in names.split() if isinstance(names, str) else names:
            canonical = _ALIASES.get(name, name.strip("_"))
            entry = Function("matmul" if canonical == "rmatmul" else canonical, role, units, spatial)
            for space in _SPACES:
                for variant in (name, f"{name}_"):
                    found = getattr(space, variant, None)
                    if callable(found):
                        table.setdefault(found, entry)

    add(_ACTIVATIONS, Role.ACTIVATION)
    add("special_expit expit log_sigmoid", Role.ACTIVATION)
    for pool in _POOLINGS.split():
        for n in (1, 2, 3):
            name = f"{pool}{n}d"
            add(name, Role.POOLING, "channel", n)
            indices = getattr(F, f"{name}_with_indices", None)
            if indices is not None:
                table[indices] = Function(name, Role.POOLING, "channel", n)
    for n in (1, 2, 3):
        add((f"conv{n}d", f"conv_transpose{n}d"), Role.WEIGHT, "channel", n)
    add("linear bilinear embedding embedding_bag", Role.WEIGHT, "last")
    add(_MATMULS, Role.WEIGHT, "last")
    add(_RECURRENT, Role.WEIGHT, "last")
    add("multi_head_attention_forward", Role.WEIGHT, "last")
    add("scaled_dot_product_attention", Role.MIX, "last")
    add("batch_norm instance_norm group_norm", Role.NORM, "channel")
    add("layer_norm rms_norm", Role.NORM, "last")
    add(_NAMED_PASSES, Role.PASS)
    add("multiply divide true_divide subtract concat concatenate", Role.PASS)
    return table


FUNCTIONS: Mapping[Callable[..., Any], Function] = _build()
NAMES: frozenset[str] = frozenset(entry.name for entry in FUNCTIONS.values())
# These need a parameter among their operands to be a layer; convolution and linear always are one.
_NEED_PARAMETER: frozenset[str] = frozenset(
    entry.name
    for func, entry in FUNCTIONS.items()
    if entry.role is Role.NORM or entry.name in {name.strip("_") for name in _MATMULS.split()} | {"embedding"}
)
_CLAMPS = frozenset({"clamp", "clip", "clamp_min"})
_ATTENTION_OUTPUTS = frozenset({"multi_head_attention_forward"})


def role_of_call(entry: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], parametric: bool) -> Role:
    """The role of one call: a clamp is a ReLU only from 0 up, a matmul is a layer only with a parameter."""
    if entry.name in _CLAMPS:
        low = args[1] if len(args) > 1 else kwargs.get("min")
        indices = any(not tensor.is_floating_point() for tensor in args[:1] if isinstance(tensor, Tensor))
        relu = isinstance(low, (int, float)) and low == 0 and not indices
        return Role.ACTIVATION if relu else Role.PASS
    if not parametric and entry.name in _NEED_PARAMETER:
        return Role.PASS if entry.role is Role.NORM else Role.MIX
    return entry.role


_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
_NORMS = (batchnorm._NormBase, instancenorm._InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_WEIGHTS = (
    conv._ConvNd, nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase,
    nn.MultiheadAttention,
)  # fmt: skip


def _classes(module: Any, *excluded: str) -> tuple[type[nn.Module], ...]:
    return tuple(getattr(module, name) for name in module.__all__ if name not in excluded)


_ACTIVATION_MODULES = _classes(
    activation, "MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax"
)
_POOLING_MODULES = _classes(pooling, "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")


def children(module: nn.Module) -> dict[str, nn.Module]:
    """The sub-modules that make `module` a container; those of a layer that is audited as one are not."""
    if isinstance(module, nn.MultiheadAttention):  # out_proj's weight is used, the module never called
        return {}
    return {n: m for n, m in module._modules.items() if m is not None and n != "parametrizations"}


def is_leaf(module: nn.Module) -> bool:
    """Whether `module` is called and has no sub-modules of its own."""
    return not children(module) and not isinstance(module, _CONTAINERS)


def module_role(module: nn.Module) -> Role | None:
    """The role of a leaf module of a known class (or a subclass of one); None for any other."""
    if not is_leaf(module):
        return None
    if isinstance(module, _ACTIVATION_MODULES):
        return Role.ACTIVATION
    if isinstance(module, _POOLING_MODULES):
        return Role.POOLING
    if isinstance(module, _WEIGHTS):
        return Role.WEIGHT
    if isinstance(module, _NORMS):
        return Role.NORM if getattr(module, "weight", None) is not None else Role.PASS
    if type(module).__module__.startswith("torch.nn.modules"):
        return Role.PASS
    return None
