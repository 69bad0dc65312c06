"""The numbers that the thesis and its poster print, as they print them, with corrections apart.

Source: J. Smith, *Qualitative Assessment Metrics for Transfer Learning*, supervised by B. Ahmed; tables 4.1
to 4.5 and the model summaries of appendix 3; table 1 of the poster of the same title.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

EXAMPLES: Final = 1000
"""Test images behind tables 4.2 to 4.5 (table 3.13)."""


@dataclass(frozen=True)
class Published:
    """A trained model as the thesis reports it."""

    name: str
    """In `neurocensus.zoo`."""
    label: str
    """As tables 4.2 and 4.3 print it."""
    accuracy: float
    """Over the test images."""
    dead: int
    """Table 4.4 or 4.5, "Deactivated Neurons"."""
    activations: int
    """"Total Activations": units x test images."""
    nnu_percent: float
    """"NNU", a percentage to five places: 100 x dead / activations."""
    source: str
    """Where the numbers stand."""
    poster_accuracy: float | None = None
    """Table 1 of the poster, a percentage there."""

    @property
    def units(self) -> int:
        """Units that the total stands for."""
        return self.activations // EXAMPLES

    @property
    def nnu(self) -> float:
        """Dead units / units, which is what the thesis's text and code call NNU."""
        return self.dead / self.units

    @property
    def nnu_published(self) -> float:
        """Dead units / (units x test images), which is what its tables call NNU."""
        return self.dead / self.activations


@dataclass(frozen=True)
class Correction:
    """A printed number that the thesis itself contradicts."""

    name: str
    """The model's name in `neurocensus.zoo`."""
    field: str
    """Of `Published`."""
    printed: Any
    corrected: Any
    reason: str


_MACRO_TABLES, _MICRO_TABLES = "tables 4.2 and 4.4", "tables 4.3 and 4.5"
_MODELS: Final = (
    Published("thesis-1", "1 - basic cnn", 0.759, 366, 1_697_000, 0.02157, _MACRO_TABLES, 0.763),
    Published("thesis-2", "2 - img aug cnn", 0.835, 316, 1_697_000, 0.01862, _MACRO_TABLES, 0.854),
    Published("thesis-3", "3 - transfer cnn", 0.891, 58, 1_025_000, 0.00566, _MACRO_TABLES, 0.892),
    Published("thesis-4", "4 - tl img aug cnn", 0.896, 172, 9_217_000, 0.00187, _MACRO_TABLES, 0.896),
    Published("thesis-5", "5 - tl img aug ft cnn", 0.949, 35, 9_217_000, 0.00038, "tables 4.2 to 4.5", 0.949),
    Published(
        "thesis-5a", "5a - tl img aug ft cnn alter neurons", 0.944, 27, 9_193_000, 0.00029, _MICRO_TABLES
    ),
    Published("thesis-5b", "5b - tl img aug ft cnn add layer", 0.956, 70, 9_729_000, 0.00072, _MICRO_TABLES),
    Published("thesis-5c", "5c - tl img aug ft cnn alter lr", 0.933, 4106, 9_217_000, 0.04455, _MICRO_TABLES),
)
MODELS: Final[Mapping[str, Published]] = MappingProxyType({model.name: model for model in _MODELS})
"""The eight models by their names in `neurocensus.zoo`."""

MACRO: Final = ("thesis-1", "thesis-2", "thesis-3", "thesis-4", "thesis-5")
"""Models of tables 4.2 and 4.4."""
MICRO: Final = ("thesis-5", "thesis-5a", "thesis-5b", "thesis-5c")
"""Models of tables 4.3 and 4.5."""

_MODEL_1 = (
    "table 4.4 gives model 1 the total of model 2, 1,697,000; its own layer list in appendix 3 "
    "(16 + 16 + 64 + 64 + 128 + 128 + 512 + 1) has 929 units, so 929,000"
)
CORRECTIONS: Final = (
    Correction("thesis-1", "activations", 1_697_000, 929_000, _MODEL_1),
    Correction("thesis-1", "nnu_percent", 0.02157, 0.03940, _MODEL_1),
)

POSTER: Final = (
    "the poster has other accuracies for models 1 to 3 (76.3, 85.4 and 89.2 %) and calls model 1 "
    "regularised, which the thesis does not: they are of another run"
)


def corrections(name: str) -> tuple[Correction, ...]:
    """What is to be corrected of a model."""
    return tuple(item for item in CORRECTIONS if item.name == name)


def corrected(name: str) -> Published:
    """A model with its corrections applied; as printed where there are none.

    Raises:
        KeyError: the thesis has no such model.
    """
    changes = {item.field: item.corrected for item in corrections(name)}
    return replace(MODELS[name], **changes)


@dataclass(frozen=True)
class PublishedConfusion:
    """Table 4.1: the metrics of a confusion matrix that is not printed, and that matrix."""

    metrics: Mapping[str, float]
    """As printed, to three places; keys as in `neurocensus.assessment.METRICS`."""
    tp: int
    fp: int
    tn: int
    fn: int
    source: str


TABLE_4_1: Final = PublishedConfusion(
    metrics=MappingProxyType(
        {
            "accuracy": 0.8,
            "misclassification_rate": 0.2,
            "true_positive_rate": 0.848,
            "false_positive_rate": 0.294,
            "true_negative_rate": 0.706,
            "precision": 0.848,
            "prevalence": 0.66,
            "null_error_rate": 0.34,
            "cohens_kappa": 0.554,
            "f1": 0.848,
        }
    ),
    tp=28,
    fp=5,
    tn=12,
    fn=5,
    source="table 4.1; the counts are the only ones of 50 images that give these metrics: the test set of "
    "catvnoncat has 33 cats and 17 others",
)
"""The baseline cat classifier of the investigation phase."""
