from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.assessment import Confusion, Relations, relations
from neurocensus.assessment.relations import holm
from neurocensus.experiments.published import MACRO, MODELS, corrected

NNU = [0.39, 0.19, 0.057, 0.019, 0.004]
ACCURACY = [0.759, 0.835, 0.891, 0.896, 0.949]


def a_study() -> Relations:
    return relations(
        {"nnu": NNU, "skewness": [1.0, 2.0, math.nan, 4.0, 3.0]},
        {"accuracy": ACCURACY, "prevalence": [0.5] * 5, "f1": [0.1, 0.2, math.inf, 0.3, math.nan]},
    )


class TestPairs:
    def test_every_measure_meets_every_metric(self) -> None:
        found = a_study()
        assert found.measures == ("nnu", "skewness")
        assert found.metrics == ("accuracy", "prevalence", "f1")
        assert [(pair.measure, pair.metric) for pair in found.pairs] == [
            (measure, metric) for measure in found.measures for metric in found.metrics
        ]
        assert found["nnu", "accuracy"].coefficient == -1
        with pytest.raises(KeyError):
            found["accuracy", "nnu"]

    def test_a_model_without_a_value_is_left_out(self) -> None:
        found = a_study()["skewness", "accuracy"]
        assert (found.models, found.coefficient) == (4, pytest.approx(0.8))

    @pytest.mark.parametrize(
        ("names", "models", "reason"),
        [
            (("nnu", "prevalence"), 5, "the metric is constant"),
            (("nnu", "f1"), 3, "3 models, needs 4"),
            (("skewness", "f1"), 3, "3 models, needs 4"),
        ],
    )
    def test_without_a_coefficient_say_why(self, names: Any, models: int, reason: str) -> None:
        pair = a_study()[names]
        assert (pair.models, pair.reason) == (models, reason)
        assert all(map(math.isnan, (pair.coefficient, pair.low, pair.high, pair.p, pair.p_holm)))

    @pytest.mark.parametrize("models", range(4))
    def test_of_few_models_are_nan(self, models: int) -> None:
        (pair,) = relations({"a": np.arange(models)}, {"b": np.arange(models)}).pairs
        assert math.isnan(pair.coefficient)
        assert pair.reason.endswith("needs 4")

    def test_rounding_makes_no_order(self) -> None:
        """Metrics that are equal but for the last bit are tied."""
        x, noisy = [1.0, 2.0, 3.0, 4.0], [0.3, 0.1 + 0.2, 0.5, 0.7]
        assert (
            relations({"x": x}, {"y": noisy}).pairs == relations({"x": x}, {"y": [0.3, 0.3, 0.5, 0.7]}).pairs
        )
        (flat,) = relations({"x": x}, {"y": [0.3, 0.1 + 0.2, 0.3, 0.3]}).pairs
        assert flat.reason == "the metric is constant"

    def test_metrics_of_confusion_matrices(self) -> None:
        matrices = [Confusion.from_counts(tp=tp, fp=9, tn=41, fn=50 - tp) for tp in (20, 30, 35, 45)]
        metrics = {name: [matrix.metrics()[name] for matrix in matrices] for name in matrices[0].metrics()}
        found = relations({"nnu": NNU[:4]}, metrics)
        assert found["nnu", "accuracy"].coefficient == -1
        assert found["nnu", "misclassification_rate"].coefficient == 1
        constant = {"false_positive_rate", "true_negative_rate", "prevalence", "null_error_rate"}
        assert {pair.metric for pair in found.pairs if pair.reason} == constant

    def test_of_the_published_models(self) -> None:
        """A perfect order over the macro-models, none any more with the micro-models; corrected or not."""
        for models in (MODELS, {name: corrected(name) for name in MODELS}):
            measured = {
                names: relations(
                    {"nnu": [models[name].nnu for name in names]},
                    {"accuracy": [models[name].accuracy for name in names]},
                ).pairs[0]
                for names in (MACRO, tuple(MODELS))
            }
            macro, every = measured[MACRO], measured[tuple(MODELS)]
            assert (macro.coefficient, macro.low) == (-1, -1)
            assert macro.p == pytest.approx(1 / 60)
            assert macro.high == pytest.approx(-0.33, abs=0.02)
            assert every.coefficient == pytest.approx(-2 / 3)
            assert every.p > 0.05


class TestHolm:
    def test_textbook(self) -> None:
        assert holm([0.01, 0.04, math.nan, 0.03, 0.005]) == pytest.approx(
            [0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True
        )

    @given(st.lists(st.floats(0, 1), min_size=1))
    def test_keeps_the_order_between_p_and_bonferroni(self, p: list[float]) -> None:
        adjusted = holm(p)
        order = np.argsort(p, kind="stable")
        assert (np.diff(np.array(adjusted)[order]) >= 0).all()
        assert all(one <= both <= min(1, len(p) * one) for one, both in zip(p, adjusted, strict=True))

    def test_is_over_the_pairs_that_were_tested(self) -> None:
        found = a_study()
        assert found["nnu", "accuracy"].p == pytest.approx(1 / 60)
        assert found["nnu", "accuracy"].p_holm == pytest.approx(2 / 60)


class TestExports:
    def test_rows_are_the_pairs(self) -> None:
        rows = a_study().rows()
        assert rows[0]["coefficient"] == -1
        assert list(rows[0]) == [
            *("measure", "metric", "coefficient", "low", "high", "p", "p_holm", "models", "reason")
        ]

    def test_people_get_names_and_reasons(self) -> None:
        lines = str(a_study()).splitlines()
        assert " ".join(lines[2].split()) == "measure metric rho 95 % interval p p (Holm) models"
        assert lines[3].split()[:5] == ["NNU", "accuracy", "-1.00", "-1.00", "to"]
        assert "the metric is constant" in lines[4]
        assert "| NNU | prevalence | n/a | the metric is constant | n/a | n/a | 5 |" in a_study().markdown()
        assert a_study().table().row_count == 6
        assert "tau" in relations({"a": NNU}, {"b": ACCURACY}, method="kendall").markdown()

    def test_notes_say_what_to_doubt(self) -> None:
        notes = " ".join(a_study().notes)
        assert "over 4 to 5 models" in notes
        assert "drawn independently" in notes
        assert "2 pairs were tested: at 5 % each, 0.1 would show by chance alone" in notes
        assert "with 4 models no p value is below 0.083" in notes
        assert relations({"a": [1.0]}, {"b": [1.0]}).notes == ()
        (alone, _) = relations({"a": NNU}, {"b": ACCURACY}).notes
        assert alone.startswith("over 5 models")

    def test_json_and_pandas(self) -> None:
        body = json.loads(json.dumps(a_study().to_dict(), allow_nan=False))
        assert (body["method"], body["confidence"]) == ("spearman", 0.95)
        assert body["pairs"][1]["coefficient"] is None
        pytest.importorskip("pandas")
        assert a_study().to_pandas()["models"].tolist() == [5, 5, 3, 4, 4, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"measures": {}}, ValueError, "measures: expected at least one, got none"),
        ({"metrics": [0.5]}, TypeError, "metrics: expected a mapping of names to values per model, got list"),
        ({"metrics": {"a": [1.0, 2.0]}}, ValueError, r"got lengths \{'nnu': 5, 'a': 2\}"),
        ({"metrics": {"a": ["high"] * 5}}, TypeError, r"metrics\['a'\]: expected numbers, one per model"),
        ({"metrics": {"a": [[1.0]] * 5}}, ValueError, r"one number per model, got shape \(5, 1\)"),
        ({"method": "pearson"}, ValueError, "method: expected 'spearman' or 'kendall', got 'pearson'"),
        ({"confidence": 95}, ValueError, r"confidence: expected a number in \(0, 1\), got 95"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        relations(**{"measures": {"nnu": NNU}, "metrics": {"accuracy": ACCURACY}, **arguments})
