"""Models beside one another: the same numbers, the same axes, one row each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from . import metrics, storage, tables, text
from .metrics import Floats
from .result import Audit, LayerAudit

if TYPE_CHECKING:
    import pandas
    import rich.table
    from matplotlib.figure import Figure

ACCURACY = "accuracy"  # the annotation that `compare` looks for

HEADINGS = (
    "model",
    "examples",
    "units",
    "dead",
    "NNU",
    "published NNU",
    "skewness",
    "consistency",
    "accuracy",
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Audits under the names they are shown by, in the order given. Made by `compare`."""

    audits: Mapping[str, Audit]
    accuracy: Mapping[str, float]
    """Accuracy of those models that have one."""

    def rows(self) -> list[dict[str, Any]]:
        """One row per model: examples, units, dead, nnu and so on. NaN where there is no number."""
        spectra = self.spectra(bins=1)
        return [
            {
                "model": name,
                "examples": audit.examples,
                "layers": len(audit.layers),
                "units": audit.units,
                "dead": audit.dead,
                "unseen": audit.unseen,
                "nnu": audit.nnu,
                "nnu_published": audit.nnu_published,
                "skewness": spectra[name].skewness,
                "skewness_living": spectra[name].skewness_living,
                "consistency": audit.range().consistency,
                "accuracy": self.accuracy.get(name, math.nan),
            }
            for name, audit in self.audits.items()
        ]

    def layers(self) -> dict[str, dict[str, LayerAudit]]:
        """Layers matched by name: for each name the models that have it, and what was found there."""
        out: dict[str, dict[str, LayerAudit]] = {}
        for model, audit in self.audits.items():
            for name, layer in audit.layers.items():
                out.setdefault(name, {})[model] = layer
        return out

    def spectra(self, bins: int | Sequence[float] | Floats = 100) -> dict[str, metrics.Spectrum]:
        """Each model's activation spectrum, all on the same bins."""
        states = [state for audit in self.audits.values() for state in audit.states.values()]
        peaks = np.concatenate([np.zeros(0), *(metrics.maxima(state) for state in states)])
        edges = metrics.spectrum_edges(peaks, bins)
        return {name: audit.spectrum(edges) for name, audit in self.audits.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before ranking these models, one sentence each."""
        return tuple(_warnings(self.audits))

    def table(self) -> rich.table.Table:
        """A rich table, one row per model."""
        return tables.rich_rows(HEADINGS, [self.cells(row) for row in self.rows()], 1, warnings=self.warnings)

    def cells(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """One of `rows` under `HEADINGS`, formatted for people."""
        return (
            row["model"],
            text.count(row["examples"]),
            text.count(row["units"]),
            text.count(row["dead"]),
            text.percent(row["nnu"]),
            text.percent(row["nnu_published"]),
            text.real(row["skewness"]),
            text.real(row["consistency"]),
            text.NOT_AVAILABLE if math.isnan(row["accuracy"]) else f"{row['accuracy']:.4g}",
        )

    def to_pandas(self, per: str = "model") -> pandas.DataFrame:
        """A DataFrame with a row per "model", or per "layer" of each model.

        Raises:
            ImportError: pandas is not installed.
            ValueError: `per` is something else.
        """
        if per not in ("model", "layer"):
            raise ValueError(f"per: expected 'model' or 'layer', got {per!r}")
        rows = self.rows() if per == "model" else list(self._layer_rows())
        frame: pandas.DataFrame = tables.import_pandas().DataFrame(rows)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """The comparison ready for JSON: what is NaN or infinite is None."""
        body = {"models": self.rows(), "layers": list(self._layer_rows()), "warnings": self.warnings}
        out: dict[str, Any] = tables.json_ready(body)
        return out

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` as JSON."""
        storage.write_text(path, tables.json_text(self.to_dict()))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a self-contained HTML page: numbers, plots, tables, provenance."""
        from .report import write_report

        write_report(self, path)

    def plot_nnu(self) -> Figure:
        """NNU per model, with accuracy as colour."""
        from .plots import plot_nnu

        return plot_nnu({name: audit.nnu for name, audit in self.audits.items()}, self.accuracy)

    def plot_range(self) -> Figure:
        """The maximum of each layer as bars, model beside model on one scale."""
        from .plots import plot_range

        return plot_range({name: audit.range() for name, audit in self.audits.items()})

    def plot_spectrum(self, bins: int | Sequence[float] | Floats = 100) -> Figure:
        """The activation spectra, one panel per model, on shared bins and axes."""
        from .plots import plot_spectrum

        return plot_spectrum(self.spectra(bins))

    def __repr__(self) -> str:
        names = text.enumerate_names(list(self.audits))
        return f"<Comparison of {text.plural(len(self.audits), 'model')}: {names}>"

    def __str__(self) -> str:
        lines = tables.align([HEADINGS, *map(self.cells, self.rows())], left=1)
        return "\n".join([*lines, *(f"warning: {line}" for line in self.warnings)])

    def _layer_rows(self) -> Iterator[dict[str, Any]]:
        for models in self.layers().values():
            for model, layer in models.items():
                yield {"model": model, **tables.layer_row(layer)}


def compare(audits: Mapping[str, Audit], accuracy: Mapping[str, float] | None = None) -> Comparison:
    """Put audits beside one another.

    Args:
        audits: the audits under the names to show them by.
        accuracy: accuracies by the same names; where one is missing, the audit's annotation "accuracy"
            is taken, if it has a number there.

    Raises:
        TypeError: `audits` is no mapping of audits, or an accuracy is not a number.
        ValueError: `audits` is empty, or `accuracy` names a model that is not there.
    """
    if not isinstance(audits, Mapping):
        raise TypeError(f"audits: expected a mapping of names to audits, got {type(audits).__name__}")
    if not audits:
        raise ValueError('audits: expected at least one, got none; give {"name": audit, ...}')
    for name, audit in audits.items():
        if not isinstance(name, str) or not isinstance(audit, Audit):
            raise TypeError(
                f"audits[{name!r}]: expected an Audit under a name, got {type(audit).__name__}; "
                "a path is loaded with neurocensus.load"
            )
    known: dict[str, float] = {}
    for name, audit in audits.items():
        noted = audit.annotations.get(ACCURACY)
        if _is_number(noted):
            known[name] = float(noted)
    for name, value in (accuracy or {}).items():
        if name not in audits:
            raise ValueError(f"accuracy: expected names among {list(audits)}, got {name!r}")
        if not _is_number(value):
            raise TypeError(f"accuracy[{name!r}]: expected a number, got {type(value).__name__}")
        known[name] = float(value)
    ordered = {name: known[name] for name in audits if name in known and math.isfinite(known[name])}
    return Comparison(dict(audits), ordered)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _warnings(audits: Mapping[str, Audit]) -> Iterator[str]:
    examples = {audit.examples for audit in audits.values()}
    if len(examples) > 1:
        yield (
            f"the models saw {', '.join(map(text.count, sorted(examples)))} examples: with more examples "
            "fewer units stay dead, so compare over the same data"
        )
    thresholds = {audit.threshold for audit in audits.values()}
    if len(thresholds) > 1:
        yield f"dead means different things: the thresholds are {', '.join(map(str, sorted(thresholds)))}"
    for name, audit in audits.items():
        for line in audit.warnings:
            yield f"{text.printable(name)}: {line}"
