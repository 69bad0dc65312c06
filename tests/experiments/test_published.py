from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from neurocensus.assessment import Confusion
from neurocensus.experiments import published
from neurocensus.experiments.published import CORRECTIONS, EXAMPLES, MACRO, MICRO, MODELS, TABLE_4_1

from ..conftest import shared_data

VGG = 8192  # the pretrained part, counted as one layer
LAYERS = {  # appendix 3: every dense, convolution and pooling layer
    "thesis-1": [16, 16, 64, 64, 128, 128, 512, 1],
    "thesis-2": [16, 16, 64, 64, 128, 128, 128, 128, 512, 512, 1],
    "thesis-3": [512, 512, 1],
    "thesis-4": [VGG, 512, 512, 1],
    "thesis-5": [VGG, 512, 512, 1],
    "thesis-5a": [VGG, 600, 400, 1],
    "thesis-5b": [VGG, 512, 512, 512, 1],
    "thesis-5c": [VGG, 512, 512, 1],
}


@pytest.mark.parametrize("name", MODELS)
def test_percentages_follow_from_dead_and_total(name: str) -> None:
    for model in (MODELS[name], published.corrected(name)):
        assert round(100 * model.dead / model.activations, 5) == model.nnu_percent
        assert model.nnu_published == pytest.approx(model.nnu_percent / 100, abs=0.5e-7)
        assert model.nnu == pytest.approx(model.nnu_published * EXAMPLES)
        assert model.activations == model.units * EXAMPLES
        assert 0 <= model.dead <= model.units


@pytest.mark.parametrize("name", MODELS)
def test_totals_follow_from_the_layers_once_corrected(name: str) -> None:
    units = sum(LAYERS[name])
    assert published.corrected(name).units == units
    wrong = MODELS[name].units != units
    assert wrong == (name == "thesis-1") == bool(published.corrections(name))


def test_model_1_has_the_total_of_model_2() -> None:
    assert MODELS["thesis-1"].activations == MODELS["thesis-2"].activations
    assert published.corrected("thesis-2") is not MODELS["thesis-1"]
    assert published.corrected("thesis-2") == MODELS["thesis-2"]


def test_corrections_are_of_what_is_printed() -> None:
    names = {field.name for field in fields(published.Published)}
    for item in CORRECTIONS:
        assert item.field in names
        assert getattr(MODELS[item.name], item.field) == item.printed != item.corrected
        assert getattr(published.corrected(item.name), item.field) == item.corrected


def test_tables_hold_all_models() -> None:
    assert set(MACRO) | set(MICRO) == set(MODELS)
    for name in MACRO:
        assert MODELS[name].poster_accuracy is not None
    for name in MODELS:
        assert MODELS[name].label.startswith(f"{name.removeprefix('thesis-')} - ")


def test_accuracies_rise_over_the_macro_models_on_paper_and_poster() -> None:
    for accuracies in (
        [MODELS[name].accuracy for name in MACRO],
        [MODELS[name].poster_accuracy or 0 for name in MACRO],
    ):
        assert accuracies == sorted(set(accuracies))


@pytest.mark.data
def test_the_test_set_of_table_4_1_has_its_prevalence() -> None:
    with np.load(shared_data("catvnoncat.npz"), allow_pickle=False) as arrays:
        labels = arrays["y_test"]
    assert (labels.sum(), (1 - labels).sum()) == (TABLE_4_1.tp + TABLE_4_1.fn, TABLE_4_1.fp + TABLE_4_1.tn)


def test_one_confusion_matrix_gives_table_4_1() -> None:
    """Of all those of 50 images."""
    fitting = []
    for positives in range(51):
        if round(positives / 50, 3) != TABLE_4_1.metrics["prevalence"]:
            continue
        for tp in range(positives + 1):
            if abs(tp / positives - TABLE_4_1.metrics["true_positive_rate"]) > 0.001:
                continue
            for tn in range(50 - positives + 1):
                found = Confusion.from_counts(tp=tp, fp=50 - positives - tn, tn=tn, fn=positives - tp)
                if all(round(found.metrics()[name], 3) == value for name, value in TABLE_4_1.metrics.items()):
                    fitting.append((found.tp, found.fp, found.tn, found.fn))
    assert fitting == [(TABLE_4_1.tp, TABLE_4_1.fp, TABLE_4_1.tn, TABLE_4_1.fn)]
