"""The shift of weights beside the change of activations, unit by unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .. import tables, text
from ..result import Audit, LayerAudit
from .shift import TensorShift, WeightShift

if TYPE_CHECKING:
    import pandas
    import rich.table

HEADINGS: Final = (
    "layer", "audit point", "units", "relative L2", "cosine", "max", "mean |a|", "dead",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class JoinedLayer:
    """One layer: how far its weight moved, and what its units did before and after."""

    shift: TensorShift
    before: LayerAudit
    after: LayerAudit


@dataclass(frozen=True, eq=False, repr=False)
class JoinedShift:
    """Weight shift and activations of the layers that both have. Made by `WeightShift.join`."""

    layers: Mapping[str, JoinedLayer]
    unmatched: Mapping[str, str]
    """Layers with a weight that could not be joined, and why."""

    def rows(self, per: str = "layer") -> list[dict[str, Any]]:
        """One row per "layer" or per "unit".

        Columns: ``relative_l2`` and ``cosine`` of the weight; before, after and the change (after - before)
        of ``max`` and ``mean_abs``, the mean of abs(activation); ``dead`` before and after. Of a layer,
        ``max`` is the largest, ``mean_abs`` the mean over units, ``dead`` the number of dead units, with
        ``died`` and ``revived``: units dead only after, only before. NaN where nothing finite was seen.

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
        """A rich table, one row per layer."""
        rows = tables.with_short_names(self._cells(), columns=2)
        return tables.rich_rows(HEADINGS, rows, 2, warnings=self._warnings())

    def _layer_rows(self) -> Iterator[dict[str, Any]]:
        for name, layer in self.layers.items():
            before, after = _columns(layer.before), _columns(layer.after)
            yield {
                "layer": name,
                "point": layer.before.name,
                "units": layer.shift.units,
                "relative_l2": layer.shift.relative_l2,
                "cosine": layer.shift.cosine,
                **_change("max", layer.before.max, layer.after.max),
                **_change("mean_abs", tables.mean(before["mean_abs"]), tables.mean(after["mean_abs"])),
                "dead_before": layer.before.dead,
                "dead_after": layer.after.dead,
                "died": int((after["dead"] & ~before["dead"]).sum()),
                "revived": int((before["dead"] & ~after["dead"]).sum()),
            }

    def _unit_rows(self) -> Iterator[dict[str, Any]]:
        for name, layer in self.layers.items():
            before, after = _columns(layer.before), _columns(layer.after)
            for unit in range(layer.shift.units):
                yield {
                    "layer": name,
                    "point": layer.before.name,
                    "unit": unit,
                    "relative_l2": float(layer.shift.unit_relative_l2[unit]),
                    "cosine": float(layer.shift.unit_cosine[unit]),
                    **_change("max", float(before["max"][unit]), float(after["max"][unit])),
                    **_change("mean_abs", float(before["mean_abs"][unit]), float(after["mean_abs"][unit])),
                    "dead_before": bool(before["dead"][unit]),
                    "dead_after": bool(after["dead"][unit]),
                }

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row["layer"],
                row["point"],
                text.count(row["units"]),
                text.real(row["relative_l2"]),
                text.NOT_AVAILABLE if np.isnan(row["cosine"]) else f"{row['cosine']:.6f}",
                f"{text.real(row['max_before'])} -> {text.real(row['max_after'])}",
                f"{text.real(row['mean_abs_before'])} -> {text.real(row['mean_abs_after'])}",
                f"{text.count(row['dead_before'])} -> {text.count(row['dead_after'])}",
            )
            for row in self._layer_rows()
        ]

    def _warnings(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for name, reason in self.unmatched.items():
            reasons.setdefault(reason, []).append(name)
        return [f"not joined: {text.enumerate_names(names)}: {reason}" for reason, names in reasons.items()]

    def __repr__(self) -> str:
        return f"<JoinedShift of {text.plural(len(self.layers), 'layer')}, {len(self.unmatched)} unmatched>"

    def __str__(self) -> str:
        lines = tables.align([HEADINGS, *self._cells()], left=2)
        return "\n".join([*lines, *(f"warning: {line}" for line in self._warnings())])


def join(shift: WeightShift, before: Audit, after: Audit, points: Mapping[str, str] | None) -> JoinedShift:
    """See `WeightShift.join`."""
    for what, old, new in (
        ("examples", before.examples, after.examples),
        ("threshold", before.threshold, after.threshold),
    ):
        if old != new:
            raise ValueError(
                f"before, after: expected audits with the same {what}, got {old} and {new}; more examples "
                "or a lower threshold alone bring units to life"
            )
    points = {} if points is None else points
    if unknown := [layer for layer in points if layer not in shift.layers]:
        raise ValueError(
            f"points: expected names of layers with a weight, got {text.enumerate_names(unknown)}; there are "
            f"{text.enumerate_names(list(shift.layers), 20)}"
        )
    layers: dict[str, JoinedLayer] = {}
    unmatched: dict[str, str] = {}
    for name, tensor in shift.layers.items():
        point = points.get(name, name)
        old_layer, new_layer = before.layers.get(point), after.layers.get(point)
        if old_layer is None or new_layer is None:
            unmatched[name] = "no audit point of its name" if point == name else f"no audit point {point!r}"
        elif old_layer.units != tensor.units or new_layer.units != tensor.units:
            unmatched[name] = (
                f"{text.plural(tensor.units, 'unit')}, but point {point!r} has {old_layer.units} before "
                f"and {new_layer.units} after"
            )
        else:
            layers[name] = JoinedLayer(tensor, old_layer, new_layer)
    if not layers:
        raise ValueError(
            "points: no layer of the weights has an audit point of its name and number of units; give "
            "points=neurocensus.transfer.activation_points(model, batch), or say it by hand, as "
            f"{{{next(iter(shift.layers), 'layer')!r}: {next(iter(before.layers), 'point')!r}}}"
        )
    return JoinedShift(layers, unmatched)


def _columns(layer: LayerAudit) -> dict[str, np.ndarray[Any, Any]]:
    return tables.unit_columns(layer)


def _change(what: str, before: float, after: float) -> dict[str, float]:
    return {f"{what}_before": before, f"{what}_after": after, f"{what}_change": after - before}
