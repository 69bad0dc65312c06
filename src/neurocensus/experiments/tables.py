"""What was measured beside what the thesis reports (tables 4.2 to 4.5); measures and metrics at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from .. import text
from ..assessment.confusion import TITLES, Confusion
from ..assessment.libraries import scipy_stats
from ..sheets import Column, Sheet, field
from . import published
from .published import Published

if TYPE_CHECKING:
    from ..result import Audit

HERE: Final = "here"
CONFIDENCE: Final = 0.95
_TABLES: Final = {
    "4.2": ("Accuracy of the macro-models on the test set (table 4.2)", published.MACRO),
    "4.3": ("Accuracy of the micro-models on the test set (table 4.3)", published.MICRO),
    "4.4": ("Neural network utilization of the macro-models (table 4.4)", published.MACRO),
    "4.5": ("Neural network utilization of the micro-models (table 4.5)", published.MICRO),
}


@dataclass(frozen=True)
class Outcome:
    """What came out of one model: trained, scored and audited on the test set."""

    name: str
    """Unique in a study; a name of `neurocensus.zoo` where the model is one of the thesis's."""
    title: str
    """What it is, in a few words."""
    accuracy: float
    dead: int
    units: int
    examples: int
    """Test examples that it was scored and audited on."""
    nnu: float
    """Dead units / units."""
    nnu_published: float
    """Dead units / (units x examples)."""
    skewness: float
    """Of the activation spectrum, dead units included."""
    consistency: float
    """Of the activation range."""
    confusion: Confusion | None = None
    """None where there are more than two classes."""

    @classmethod
    def from_audit(
        cls, name: str, title: str, audit: Audit, *, accuracy: float, confusion: Confusion | None = None
    ) -> Outcome:
        """The outcome of a model by its audit on the test set."""
        return cls(
            name=name,
            title=title,
            accuracy=accuracy,
            dead=audit.dead,
            units=audit.units,
            examples=audit.examples,
            nnu=audit.nnu,
            nnu_published=audit.nnu_published,
            skewness=audit.spectrum(bins=1).skewness,
            consistency=audit.range().consistency,
            confusion=confusion,
        )

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Outcome:
        """What `to_dict` gave, also by way of JSON, where NaN is None.

        Raises:
            KeyError: something is missing.
        """
        values = {field.name: body[field.name] for field in fields(cls)}
        matrix = values.pop("confusion")
        missing = {name: math.nan for name, value in values.items() if value is None}
        return cls(**{**values, **missing}, confusion=None if matrix is None else Confusion.from_dict(matrix))

    @property
    def label(self) -> str:
        """As the thesis's tables have it: number and title, ``5a - tl img aug ft cnn alter neurons``."""
        return f"{_number(self.name)} - {self.title}" if self.title else _number(self.name)

    def to_dict(self) -> dict[str, Any]:
        """All of it by name; the confusion matrix as its own dictionary."""
        return asdict(self)


def beside_published(outcomes: Sequence[Outcome]) -> dict[str, Sheet]:
    """Tables 4.2 to 4.5, by number, with the outcomes beside the thesis's values.

    Of these, the tables that have at least one of the models. Outcomes of models that the thesis does not
    have are left out.

    Raises:
        ModuleNotFoundError: SciPy is not installed.
        ValueError: two outcomes have one name.
    """
    measured = _by_name(outcomes)
    make = {"4.2": _accuracy, "4.3": _accuracy, "4.4": _utilization, "4.5": _utilization}
    return {
        number: make[number](f"table-{number}", title, [published.MODELS[name] for name in names], measured)
        for number, (title, names) in _TABLES.items()
        if any(name in measured for name in names)
    }


def measures(outcomes: Sequence[Outcome]) -> Sheet:
    """The three measures of the census beside accuracy, one row per model.

    Raises:
        ValueError: two outcomes have one name.
    """
    columns = (
        Column("model", field("label"), left=True),
        Column("accuracy", field("accuracy", _share)),
        Column("NNU", field("nnu", text.percent)),
        Column("dead", field("dead", text.count)),
        Column("units", field("units", text.count)),
        Column("skewness", field("skewness", text.real)),
        Column("consistency", field("consistency", text.real)),
    )
    records = [
        {
            "name": outcome.name,
            "label": outcome.label,
            "accuracy": outcome.accuracy,
            "nnu": outcome.nnu,
            "nnu_published": outcome.nnu_published,
            "dead": outcome.dead,
            "units": outcome.units,
            "examples": outcome.examples,
            "skewness": outcome.skewness,
            "consistency": outcome.consistency,
        }
        for outcome in _by_name(outcomes).values()
    ]
    return Sheet("measures", "Measures on the test set", columns, records)


def metrics(outcomes: Sequence[Outcome]) -> Sheet:
    """The ten metrics of the confusion matrix (table 4.1), one row each, one column per model of two classes.

    Raises:
        ValueError: two outcomes have one name.
    """
    binary = {name: item.confusion for name, item in _by_name(outcomes).items() if item.confusion is not None}
    columns = (
        Column("metric", field("metric", TITLES.__getitem__), left=True),
        *(Column(_number(name), field(name, _share)) for name in binary),
    )
    records = [
        {"metric": metric, **{name: getattr(confusion, metric) for name, confusion in binary.items()}}
        for metric in TITLES
    ]
    return Sheet("metrics", "Metrics of the confusion matrix on the test set", columns, records)


def _by_name(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    found = {outcome.name: outcome for outcome in outcomes}
    if len(found) < len(outcomes):
        names = [outcome.name for outcome in outcomes]
        raise ValueError(f"outcomes: expected each model once, got {', '.join(names)}")
    return found


def _number(name: str) -> str:
    """``5a`` for ``thesis-5a``, as the thesis calls it; other names as they are."""
    return name.removeprefix("thesis-")


def _accuracy(name: str, title: str, models: Sequence[Published], measured: Mapping[str, Outcome]) -> Sheet:
    records = [_accuracy_record(model, measured.get(model.name)) for model in models]
    poster = all(model.poster_accuracy is not None for model in models)
    columns = [
        Column("model", field("label"), left=True),
        Column("thesis", field("thesis", _share)),
        *([Column("poster", field("poster", _share))] if poster else []),
        Column(HERE, field("here", _share)),
        Column(f"{text.percent(CONFIDENCE)} interval", _interval),
        Column("examples", field("examples", text.count)),
    ]
    notes = [published.POSTER] if poster else []
    notes.append(
        f"the thesis tested on {text.count(published.EXAMPLES)} images; the interval (Wilson's) is what the "
        "number of test images here leaves open, not what another seed would change"
    )
    return Sheet(name, title, columns, records, notes)


def _accuracy_record(model: Published, outcome: Outcome | None) -> dict[str, Any]:
    low, high = _wilson(outcome) if outcome else (None, None)
    return {
        "name": model.name,
        "label": model.label,
        "thesis": model.accuracy,
        "poster": model.poster_accuracy,
        "here": outcome.accuracy if outcome else None,
        "low": low,
        "high": high,
        "examples": outcome.examples if outcome else None,
    }


def _wilson(outcome: Outcome) -> tuple[float, float] | tuple[None, None]:
    if math.isnan(outcome.accuracy) or not outcome.examples:
        return None, None
    correct = round(outcome.accuracy * outcome.examples)
    bounds = scipy_stats().binomtest(correct, outcome.examples).proportion_ci(CONFIDENCE, "wilson")
    return float(bounds.low), float(bounds.high)


def _interval(record: Mapping[str, Any]) -> str:
    return "" if record["low"] is None else f"{record['low']:.3f} to {record['high']:.3f}"


def _utilization(
    name: str, title: str, models: Sequence[Published], measured: Mapping[str, Outcome]
) -> Sheet:
    columns = (
        Column("model", field("name", _number), left=True),
        Column("source", field("source"), left=True),
        Column("dead", field("dead", text.count)),
        Column("activations", field("activations", text.count)),
        Column("published NNU", field("nnu_published", _five_places)),
        Column("NNU", field("nnu", text.percent)),
        Column("accuracy", field("accuracy", _share)),
    )
    records = [
        {"name": model.name, "label": model.label, **record}
        for model in models
        for record in _utilization_records(model, measured.get(model.name))
    ]
    return Sheet(name, title, columns, records, tuple(_utilization_notes(models, measured)))


def _utilization_records(model: Published, outcome: Outcome | None) -> Iterator[dict[str, Any]]:
    sources = {"thesis": model}
    if published.corrections(model.name):
        sources["corrected"] = published.corrected(model.name)
    for source, reported in sources.items():
        yield {
            "source": source,
            "dead": reported.dead,
            "activations": reported.activations,
            "nnu_published": reported.nnu_published,
            "nnu": reported.nnu,
            "accuracy": reported.accuracy,
        }
    if outcome is not None:
        yield {
            "source": HERE,
            "dead": outcome.dead,
            "activations": outcome.units * outcome.examples,
            "nnu_published": outcome.nnu_published,
            "nnu": outcome.nnu,
            "accuracy": outcome.accuracy,
        }


def _utilization_notes(models: Sequence[Published], measured: Mapping[str, Outcome]) -> Iterator[str]:
    yield (
        "NNU is dead / units; the published one is dead / activations (units x test images), which falls as "
        "images are added. Compare either over equally many images: more of them leave fewer units dead"
    )
    for model in models:
        yield from dict.fromkeys(item.reason for item in published.corrections(model.name))
    here = [measured[model.name] for model in models if model.name in measured]
    examples = sorted({outcome.examples for outcome in here} - {published.EXAMPLES})
    if examples:
        counts = ", ".join(map(text.count, examples))
        yield f"audited here on {counts} images, by the thesis on {text.count(published.EXAMPLES)}"
    for outcome in here:
        units = published.corrected(outcome.name).units
        if outcome.units != units:
            yield (
                f"{outcome.name} has {text.count(outcome.units)} units here and {text.count(units)} in the "
                "thesis: another backbone or image size"
            )


def _share(value: float) -> str:
    """Three places, as the thesis has them."""
    return text.NOT_AVAILABLE if math.isnan(value) else f"{value:.3f}"


def _five_places(value: float) -> str:
    return text.NOT_AVAILABLE if math.isnan(value) else f"{100 * value:.5f} %"
