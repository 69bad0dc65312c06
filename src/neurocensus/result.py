"""`Audit`: what a census of a model found, as numbers, tables and files; `merge`: two of them as one."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from . import metrics, storage, tables, text
from ._version import __version__
from .layer import LayerAudit
from .metrics import Floats
from .state import UnitState

if TYPE_CHECKING:
    import pandas
    import rich.table
    from matplotlib.figure import Figure

__all__ = ["Annotation", "Audit", "LayerAudit", "merge", "running_versions"]

Annotation = str | float | int | bool


class Audit:
    """What a census of a model found over a data set.

    Args:
        layers: one `LayerAudit` per audit point under its name, in network order.
        model: the model's name.
        examples: examples that went through the model.
        batches: batches that did.
        expected: names of the points that should have fired.
        never_fired: those of them that never did. An error to look into: it shows in every output.
        threshold: a value is zero when ``abs(value) <= threshold``.
        versions: of the software that made the audit; default: what is running.
        annotations: the user's own notes, such as ``{"accuracy": 0.97}``; saved along.
        parts: digests of the audits that were merged into this one; none: it is no merged one.

    Raises:
        TypeError, ValueError: an argument is not as described; the message says which.
    """

    def __init__(
        self,
        layers: Mapping[str, LayerAudit],
        *,
        model: str,
        examples: int,
        batches: int,
        expected: Sequence[str] = (),
        never_fired: Sequence[str] = (),
        threshold: float = 0.0,
        versions: Mapping[str, str] | None = None,
        annotations: Mapping[str, Annotation] | None = None,
        parts: Sequence[str] = (),
    ) -> None:
        for name, layer in layers.items():
            if not isinstance(layer, LayerAudit):
                raise TypeError(f"layers[{name!r}]: expected a LayerAudit, got {type(layer).__name__}")
            if layer.name != name:
                raise ValueError(f"layers[{name!r}]: expected a layer of that name, got {layer.name!r}")
            if layer.state.threshold != threshold:
                raise ValueError(
                    f"layers[{name!r}]: expected the threshold {threshold}, got {layer.state.threshold}; "
                    "pass threshold="
                )
        self._layers = dict(layers)
        self.model = model
        self.examples = examples
        self.batches = batches
        self.expected = tuple(expected)
        self.never_fired = tuple(never_fired)
        self.threshold = float(threshold)
        self._versions = dict(running_versions() if versions is None else versions)
        self.annotations = annotations or {}
        self._parts = tuple(parts)

    @property
    def layers(self) -> Mapping[str, LayerAudit]:
        """The layers by name, in network order."""
        return MappingProxyType(self._layers)

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the software that made the audit."""
        return MappingProxyType(self._versions)

    @property
    def annotations(self) -> Mapping[str, Annotation]:
        """The user's own notes. Set them whole: ``audit.annotations = {"accuracy": 0.97}``.

        Raises:
            TypeError, ValueError: on setting something else than text, bools and finite numbers.
        """
        return MappingProxyType(self._annotations)

    @annotations.setter
    def annotations(self, notes: Mapping[str, Annotation]) -> None:
        self._annotations = _annotations(notes)

    @property
    def parts(self) -> tuple[str, ...]:
        """SHA-256 digests of the audits that were merged into this one, in order; empty if none were.

        By them `merge` knows a shard that comes again, in whatever file.
        """
        return self._parts

    @property
    def states(self) -> dict[str, UnitState]:
        """The layers' states by name."""
        return {name: layer.state for name, layer in self.layers.items()}

    @property
    def units(self) -> int:
        """Units of all layers."""
        return sum(layer.units for layer in self.layers.values())

    @property
    def dead(self) -> int:
        """Dead units of all layers."""
        return sum(layer.dead for layer in self.layers.values())

    @property
    def unseen(self) -> int:
        """Units of all layers with no value seen."""
        return sum(layer.unseen for layer in self.layers.values())

    @property
    def values(self) -> int:
        """Scalars read over all layers."""
        return sum(layer.values for layer in self.layers.values())

    @property
    def nnu(self) -> float:
        """Neural network utilization: dead / units. Lower is better."""
        return metrics.nnu(self.states.values())

    @property
    def utilization(self) -> float:
        """Share of units that are not dead: 1 - `nnu`."""
        return 1 - self.nnu

    @property
    def nnu_published(self) -> float:
        """NNU as the thesis's tables count it: dead / (units x examples)."""
        return metrics.nnu_published(self.states.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before trusting the numbers, one sentence each."""
        return tuple(_warnings(self))

    def spectrum(self, bins: int | Sequence[float] | Floats = 100) -> metrics.Spectrum:
        """The activation spectrum (`metrics.spectrum`): every unit's maximum, by layer, on shared bins."""
        return metrics.spectrum(self.states, bins)

    def range(self) -> metrics.Range:
        """The activation range (`metrics.activation_range`): each layer's maximum, and how even they are."""
        return metrics.activation_range(self.states)

    def table(self) -> rich.table.Table:
        """A rich table of the layers, with the model's numbers and the warnings."""
        return tables.rich_table(self)

    def to_pandas(self, per: str = "layer") -> pandas.DataFrame:
        """A DataFrame with a row per "layer" or per "unit".

        Raises:
            ImportError: pandas is not installed.
            ValueError: `per` is something else.
        """
        return tables.to_pandas(self, per)

    def to_csv(self, path: str | os.PathLike[str], per: str = "layer") -> None:
        """Write a row per "layer" or per "unit"; NaN is an empty cell. Needs no pandas.

        Layer names are data and stay as they are. A spreadsheet runs one that begins with ``=``, ``+``,
        ``-`` or ``@`` as a formula: import the column as text if you do not trust the model's author.
        """
        tables.write_csv(self, path, per)

    def to_dict(self) -> dict[str, Any]:
        """The audit without its per-unit arrays, ready for JSON: what is NaN or infinite is None."""
        spectrum, reach = self.spectrum(), self.range()
        out: dict[str, Any] = tables.json_ready(
            {
                "model": self.model,
                "examples": self.examples,
                "batches": self.batches,
                "units": self.units,
                "dead": self.dead,
                "unseen": self.unseen,
                "values": self.values,
                "nnu": self.nnu,
                "utilization": self.utilization,
                "nnu_published": self.nnu_published,
                "skewness": spectrum.skewness,
                "skewness_living": spectrum.skewness_living,
                "consistency": reach.consistency,
                "threshold": self.threshold,
                "expected": self.expected,
                "never_fired": self.never_fired,
                "warnings": self.warnings,
                "annotations": self.annotations,
                "versions": self.versions,
                "layers": [tables.layer_row(layer) for layer in self.layers.values()],
            }
        )
        return out

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` as JSON."""
        storage.write_text(path, tables.json_text(self.to_dict()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, which `neurocensus.load` reads."""
        storage.save(self, path)

    def to_bytes(self) -> bytes:
        """The file that `save` writes, as bytes, for a queue or an object store; see `from_bytes`."""
        return storage.dump(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Audit:
        """The audit whose `to_bytes` this is, or the content of a file of `save`. Nothing is unpickled.

        Raises:
            TypeError: not bytes.
            ValueError: damaged, or not an audit, or of a newer format.
        """
        return storage.parse(content)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a self-contained HTML page: numbers, plots, a table per layer, provenance."""
        from .report import write_report

        write_report(self, path)

    def plot_spectrum(self, bins: int | Sequence[float] | Floats = 100) -> Figure:
        """The activation spectrum as a histogram coloured by layer, dead units apart."""
        from .plots import plot_spectrum

        return plot_spectrum({self.model: self.spectrum(bins)})

    def plot_range(self) -> Figure:
        """The maximum of each layer as bars."""
        from .plots import plot_range

        return plot_range({self.model: self.range()})

    def plot_dead(self) -> Figure:
        """The share of dead units of each layer as bars."""
        from .plots import plot_dead

        return plot_dead(self.states)

    def __str__(self) -> str:
        return tables.plain(self)

    def __repr__(self) -> str:
        return (
            f"<Audit of {text.printable(self.model)}: {text.plural(len(self.layers), 'layer')}, "
            f"{text.plural(self.units, 'unit')}, {text.plural(self.examples, 'example')}, "
            f"NNU {text.percent(self.nnu)}>"
        )


def merge(first: Audit, *others: Audit, allow_repeated: bool = False) -> Audit:
    """One audit of the same model over several data sets.

    Layers are matched by name; those that only one audit has are kept. Example indices (`argmax`) go on
    from one audit to the next, as if the data sets had been one. Annotations that disagree are dropped:
    no accuracy follows from two.

    Args:
        first: an audit; a single one is given back as it is.
        others: more of the same model, threshold, units and axes.
        allow_repeated: count shards that are given twice (the same audit, a copy of it, or one that an
            earlier merge holds) twice, instead of refusing them. For parts that are truly equal: data that
            gave the very same numbers.

    Raises:
        TypeError: something is not an `Audit`.
        ValueError: the audits are of different models, or counted by different rules, or a shard comes twice.
    """
    from .merging import Merger

    merger = Merger(allow_repeated=allow_repeated)
    merger.add({f"audit {index}": audit for index, audit in enumerate((first, *others), start=1)})
    return merger.audit() if others else first


def running_versions() -> dict[str, str]:
    """Versions of what an audit rests on, without importing any of it."""
    return dict(_versions())


@functools.cache
def _versions() -> Mapping[str, str]:
    versions = {"neurocensus": __version__, "python": platform.python_version(), "numpy": np.__version__}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["torch"] = importlib.metadata.version("torch")
    return versions


def _annotations(given: Mapping[str, Annotation]) -> dict[str, Annotation]:
    for key, value in given.items():
        if not isinstance(key, str):
            raise TypeError(f"annotations: expected text as keys, got {key!r}")
        if not isinstance(value, (str, bool, int, float)):
            raise TypeError(
                f"annotations[{key!r}]: expected text, a number or a bool, got {type(value).__name__}; "
                "convert it (a NumPy scalar: .item())"
            )
        if not isinstance(value, str) and not _finite(value):
            raise ValueError(f"annotations[{key!r}]: expected a finite number, got {value}")
    return dict(given)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _warnings(audit: Audit) -> list[str]:
    layers = audit.layers.values()
    lines = []
    if audit.never_fired:
        lines.append(
            f"{text.plural(len(audit.never_fired), 'expected audit point')} never fired, nothing is known of "
            f"{text.enumerate_names(audit.never_fired)}: a fused fast path or an untaken branch skips modules"
        )
    if not audit.examples:
        lines.append("no example went through the model")
    broken = [layer.name for layer in layers if metrics.nonfinite(layer.state).any()]
    if broken:
        nan = sum(int(layer.state.nan.sum()) for layer in layers)
        inf = sum(int(layer.state.inf.sum()) for layer in layers)
        lines.append(
            f"{text.plural(nan, 'NaN value')} and {text.plural(inf, 'infinite value')} in "
            f"{text.enumerate_names(broken)}: counted, and left out of everything else"
        )
    unseen = [layer.name for layer in layers if layer.unseen]
    if unseen:
        lines.append(
            f"{text.plural(audit.unseen, 'unit')} without a single value (unseen is not dead) in "
            f"{text.enumerate_names(unseen)}"
        )
    uneven = [
        name for name, again in audit.layers.items()
        if ":" in name and (first := audit.layers.get(name.rpartition(":")[0])) and first.calls != again.calls
    ]  # fmt: skip
    if uneven:
        lines.append(
            f"called more often in some forwards than in others: {text.enumerate_names(uneven)}. The k-th "
            "call need not be the same thing each time (experts run one by one, where they have tokens)"
        )
    training = [layer.name for layer in layers if layer.training]
    if training:
        lines.append(
            f"train mode in {text.enumerate_names(training)}: dropout makes zeros and batch norm uses the "
            "batch; audit in eval mode to count units, not noise"
        )
    return lines
