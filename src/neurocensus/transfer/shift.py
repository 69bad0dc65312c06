"""How far training moved the weights: relative L2 distance and cosine, per tensor and per unit.

For weights w0 before and w1 after, the relative distance is ``||w1 - w0|| / ||w0||`` and the cosine is that
of the angle between them, each over a whole tensor and over what belongs to one unit. All arithmetic is
float64. A norm of zero leaves nothing to divide by: the result is NaN, also where nothing moved.

Which weights belong to a unit, an index along the axis that holds the layer's units in an audit:

- convolution and dense: row of the weight, the output channel;
- transposed convolution: the output channel, which is on the second axis of the weight, within its group;
- embedding: column, the feature (a row is a word, which is not a unit of the layer);
- normalization: the one scale of its channel, whose cosine only says whether the sign is the same;
- recurrent and attention: row, which is one gate of a hidden unit, or one feature of queries, keys or values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from .. import tables, text
from ..capture.names import named_modules, unwrapped
from ..metrics import Floats

if TYPE_CHECKING:
    import pandas
    import rich.table

    from ..result import Audit
    from .joined import JoinedShift

Kind: TypeAlias = Literal["weight", "bias", "buffer"]
States: TypeAlias = "Mapping[str, Any] | nn.Module"

KINDS: Final = ("weight", "bias", "buffer")
HEADINGS: Final = ("tensor", "kind", "units", "relative L2", "cosine", "median unit", "largest unit")
_BUFFERS: Final = frozenset({"running_mean", "running_var", "num_batches_tracked"})
_CHUNK: Final = 1 << 22  # scalars converted to float64 at a time


@dataclass(frozen=True, eq=False)
class TensorShift:
    """How far one tensor moved. Arrays have one entry per unit, float64, shape (units,)."""

    name: str
    """As in the state dict: "features.0.weight"."""
    layer: str
    """The module it belongs to: "features.0"."""
    kind: Kind
    shape: tuple[int, ...]
    relative_l2: float
    """``||w1 - w0|| / ||w0||`` of the whole tensor; NaN if ``||w0||`` is 0."""
    cosine: float
    """Cosine of the angle between w0 and w1, in [-1, 1]; NaN if either is 0."""
    norm: float
    """``||w0||``."""
    distance: float
    """``||w1 - w0||``."""
    unit_relative_l2: Floats
    unit_cosine: Floats

    @property
    def units(self) -> int:
        """Number of units; 1 for a scalar."""
        return len(self.unit_relative_l2)


@dataclass(frozen=True, eq=False, repr=False)
class WeightShift:
    """How far each tensor of a model moved, in the order of the state dict. Made by `weight_shift`."""

    tensors: Mapping[str, TensorShift]
    left_out: Mapping[str, str]
    """Tensors that could not be compared, and why: only in one of the two, or of another shape."""

    @property
    def layers(self) -> dict[str, TensorShift]:
        """The weight of each layer by the layer's name: of several (recurrent, attention), the first."""
        found: dict[str, TensorShift] = {}
        for tensor in self.tensors.values():
            if tensor.kind == "weight":
                found.setdefault(tensor.layer, tensor)
        return found

    def rows(self, per: str = "layer") -> list[dict[str, Any]]:
        """One row per tensor ("layer"), weights, biases and buffers apart by their kind; or one per "unit".

        Raises:
            ValueError: `per` is something else.
        """
        tables.check_per(per)
        return list(self._layer_rows() if per == "layer" else self._unit_rows())

    def to_pandas(self, per: str = "layer") -> pandas.DataFrame:
        """A DataFrame of `rows`.

        Raises:
            ImportError: pandas is not installed.
            ValueError: as `rows`.
        """
        rows = self.rows(per)
        frame: pandas.DataFrame = tables.import_pandas().DataFrame(rows)
        return frame

    def table(self) -> rich.table.Table:
        """A rich table, one row per tensor."""
        rows = tables.with_short_names(self._cells(), columns=1)
        return tables.rich_rows(HEADINGS, rows, 2, warnings=self._warnings())

    def to_dict(self) -> dict[str, Any]:
        """The rows per tensor ready for JSON, and what was left out: what is NaN is None."""
        body = {"tensors": self.rows(), "left_out": dict(self.left_out)}
        out: dict[str, Any] = tables.json_ready(body)
        return out

    def join(self, before: Audit, after: Audit, *, points: Mapping[str, str] | None = None) -> JoinedShift:
        """Put each unit's shift beside the change of its activation; see `neurocensus.transfer.joined`.

        Args:
            before, after: audits of the model with the weights before and after, over the same examples.
            points: audit point by layer, from `activation_points` or by hand; default: the layer's own name.

        Raises:
            ValueError: audits over different examples; no layer of which an audit knows.
        """
        from .joined import join

        return join(self, before, after, points)

    def _layer_rows(self) -> Iterator[dict[str, Any]]:
        for tensor in self.tensors.values():
            known = tensor.unit_relative_l2[~np.isnan(tensor.unit_relative_l2)]
            yield {
                "tensor": tensor.name,
                "layer": tensor.layer,
                "kind": tensor.kind,
                "units": tensor.units,
                "relative_l2": tensor.relative_l2,
                "cosine": tensor.cosine,
                "norm": tensor.norm,
                "distance": tensor.distance,
                "unit_relative_l2_median": float(np.median(known)) if len(known) else math.nan,
                "unit_relative_l2_max": float(known.max()) if len(known) else math.nan,
            }

    def _unit_rows(self) -> Iterator[dict[str, Any]]:
        for tensor in self.tensors.values():
            pairs = zip(tensor.unit_relative_l2.tolist(), tensor.unit_cosine.tolist(), strict=True)
            for unit, (relative, cosine) in enumerate(pairs):
                yield {
                    "tensor": tensor.name,
                    "layer": tensor.layer,
                    "kind": tensor.kind,
                    "unit": unit,
                    "relative_l2": relative,
                    "cosine": cosine,
                }

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row["tensor"],
                row["kind"],
                text.count(row["units"]),
                text.real(row["relative_l2"]),
                text.NOT_AVAILABLE if math.isnan(row["cosine"]) else f"{row['cosine']:.6f}",
                text.real(row["unit_relative_l2_median"]),
                text.real(row["unit_relative_l2_max"]),
            )
            for row in self._layer_rows()
        ]

    def _warnings(self) -> list[str]:
        return [f"not compared: {name}: {reason}" for name, reason in self.left_out.items()]

    def __repr__(self) -> str:
        return f"<WeightShift of {text.plural(len(self.tensors), 'tensor')}, {len(self.left_out)} left out>"

    def __str__(self) -> str:
        lines = tables.align([HEADINGS, *self._cells()], left=2)
        return "\n".join([*lines, *(f"warning: {line}" for line in self._warnings())])


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state dict on the CPU, to compare with later.

    ``model.state_dict()`` itself shares memory with the model and changes along with it.
    """
    state = unwrapped(model).state_dict()
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}


def weight_shift(before: States, after: States, *, model: nn.Module | None = None) -> WeightShift:
    """Compare the weights of a model before and after training.

    Integer tensors (a batch norm's counter) are not compared.

    Args:
        before, after: state dicts, or modules.
        model: the model that state dicts belong to, which says what is a bias, a buffer, a transposed
            convolution; not needed beside a module. Without any, names decide (``bias``, ``running_mean``)
            and the units of each tensor are on its first axis.

    Raises:
        TypeError: neither a module nor a mapping of tensors.
        ValueError: no tensor in common; or both share their memory, so that they cannot differ.
    """
    given = (
        model if model is not None else next((s for s in (after, before) if isinstance(s, nn.Module)), None)
    )
    old, new = _state(before, "before"), _state(after, "after")
    modules = {} if given is None else {n: m for n, m, wrapper in named_modules(given) if not wrapper}
    buffers = {
        f"{path}.{name}" if path else name
        for path, module in modules.items()
        for name, _ in module.named_buffers(recurse=False)
    }
    left_out = {name: "only before" for name in old if name not in new}
    tensors: dict[str, TensorShift] = {}
    shared = True
    for name, tensor in new.items():
        if name not in old:
            left_out[name] = "only after"
        elif old[name].shape != tensor.shape:
            left_out[name] = f"shape {tuple(old[name].shape)} before, {tuple(tensor.shape)} after"
        elif _is_real(tensor) and _is_real(old[name]):
            shared &= old[name] is tensor or (0 != old[name].data_ptr() == tensor.data_ptr())
            layer, _, parameter = name.rpartition(".")
            kind = _kind(parameter, name in buffers if given is not None else parameter in _BUFFERS)
            by_units = _by_units(modules.get(layer), kind)
            tensors[name] = _compare(name, layer, kind, old[name], tensor, by_units)
    if not tensors:
        raise ValueError(
            f"before, after: expected tensors of the same names and shapes, got "
            f"{text.enumerate_names(list(old), 3)} and {text.enumerate_names(list(new), 3)}"
        )
    if shared:
        raise ValueError(
            "before, after: both are the same memory and cannot differ; keep a copy from before the "
            "training, by neurocensus.transfer.snapshot(model)"
        )
    return WeightShift(tensors, left_out)


def _state(given: States, argument: str) -> dict[str, Tensor]:
    if isinstance(given, nn.Module):
        return dict(unwrapped(given).state_dict())
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{argument}: expected a module or a state dict, got {type(given).__name__}; "
            "a file is read by neurocensus.weights.read_weights"
        )
    found = {}
    for name, tensor in given.items():
        if not isinstance(tensor, (Tensor, np.ndarray)):
            raise TypeError(f"{argument}[{name!r}]: expected a tensor, got {type(tensor).__name__}")
        found[str(name)] = torch.as_tensor(tensor)
    return found


def _is_real(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _kind(parameter: str, buffer: bool) -> Kind:
    if buffer:
        return "buffer"
    return "bias" if "bias" in parameter else "weight"


def _by_units(module: nn.Module | None, kind: Kind) -> Callable[[Tensor], Tensor]:
    """How to make the units of a tensor its first axis."""
    if kind == "weight":
        if isinstance(module, nn.modules.conv._ConvTransposeNd):
            groups = module.groups
            # To (groups, in / groups, out / groups, ...), then the output channels of all groups in a row.
            return lambda w: (
                w.reshape(groups, -1, *w.shape[1:])
                .movedim(2, 1)
                .reshape(-1, w.shape[0] // groups, *w.shape[2:])
            )
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)):
            return lambda w: w.movedim(-1, 0)
    return lambda w: w


def _compare(
    name: str, layer: str, kind: Kind, old: Tensor, new: Tensor, by_units: Callable[[Tensor], Tensor]
) -> TensorShift:
    parts: list[Floats] = []
    first, second = (by_units(tensor.detach().reshape(tensor.shape or (1,))) for tensor in (old, new))
    rows = max(1, _CHUNK // max(1, first[:1].numel()))
    for start in range(0, len(first), rows):
        parts.append(_geometry(_rows(first[start : start + rows]), _rows(second[start : start + rows])))
    units = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
    whole = _joined(units)
    return TensorShift(
        name,
        layer,
        kind,
        tuple(old.shape),
        relative_l2=float(_relative(whole)),
        cosine=float(_cosine(whole)),
        norm=float(whole[0]),
        distance=float(whole[2]),
        unit_relative_l2=_relative(units),
        unit_cosine=_cosine(units),
    )


def _rows(tensor: Tensor) -> Floats:
    """One row of float64 per unit, on the host."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    rows: Floats = tensor.to("cpu", torch.float64).reshape(len(tensor), -1).numpy()
    return rows


def _geometry(old: Floats, new: Floats) -> Floats:
    """Per row: norm before, norm after, distance, and the dot product of the directions; shape (4, rows)."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # zeros and infinities give NaN
        norm, norm_after = _norm(old), _norm(new)
        dot = ((old / norm[:, None]) * (new / norm_after[:, None])).sum(axis=1)
        return np.stack([norm, norm_after, _norm(new - old), dot])


def _joined(units: Floats) -> Floats:
    """What `_geometry` gives of all rows as one, shape (4,)."""
    norms = _norm(units[:3])
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = units[:2] / norms[:2, None]
        dot = np.where(shares.all(axis=0), shares[0] * shares[1] * units[3], 0.0).sum()
    return np.append(norms, dot)


def _norm(rows: Floats) -> Floats:
    """L2 norm along the last axis, scaled by a power of two so that squares neither overflow nor vanish."""
    _, exponent = np.frexp(np.abs(rows).max(axis=-1, initial=0.0))
    scaled = np.ldexp(rows, -exponent[..., None])
    norm: Floats = np.ldexp(np.sqrt(np.square(scaled).sum(axis=-1)), exponent)
    return norm


def _relative(geometry: Floats) -> Floats:
    norm, _, distance, _ = geometry
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.where(norm > 0, distance / norm, np.nan)


def _cosine(geometry: Floats) -> Floats:
    """For what hardly moved by the law of cosines: exactly 1 where nothing did, and no digits lost near 1."""
    norm, norm_after, _, dot = geometry
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative, longer = _relative(geometry), (norm_after - norm) / norm
        near = 1 - (relative - longer) * (relative + longer) / (2 * (norm_after / norm))
        cosine = np.where(relative < 0.5, near, dot)
        return np.where((norm > 0) & (norm_after > 0), np.clip(cosine, -1.0, 1.0), np.nan)
