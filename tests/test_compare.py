from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from neurocensus.compare import compare

from .audit_samples import audit_of, relu_arrays

A = audit_of({"conv": [[0.0, 1.0], [0.0, 2.0]], "fc": [[5.0], [1.0]]}, annotations={"accuracy": 0.75})
B = audit_of({"conv": [[1.0, 1.0], [3.0, 2.0]], "head": [[0.0], [0.0]]})


class TestRows:
    def test_are_the_audits_numbers(self) -> None:
        a, b = compare({"a": A, "b": B}).rows()
        assert (a["model"], a["examples"], a["units"], a["dead"]) == ("a", 2, 3, 1)
        assert a["nnu"] == pytest.approx(1 / 3)
        assert a["nnu_published"] == pytest.approx(1 / 6)
        assert a["skewness"] == pytest.approx(scipy.stats.skew([0, 2, 5]))
        assert a["consistency"] == A.range().consistency
        assert a["accuracy"] == 0.75
        assert math.isnan(b["accuracy"])

    def test_accuracy_given_wins_over_the_annotation(self) -> None:
        comparison = compare({"a": A, "b": B}, accuracy={"a": np.float64(0.5)})
        assert comparison.accuracy == {"a": 0.5}

    @pytest.mark.parametrize("note", ["high", True])
    def test_an_annotation_that_is_no_number_is_no_accuracy(self, note: Any) -> None:
        assert compare({"a": audit_of({}, annotations={"accuracy": note})}).accuracy == {}

    def test_the_order_is_the_users(self) -> None:
        assert [row["model"] for row in compare({"z": A, "a": B}).rows()] == ["z", "a"]


class TestLayers:
    def test_are_matched_by_name(self) -> None:
        layers = compare({"a": A, "b": B}).layers()
        assert {name: list(found) for name, found in layers.items()} == {
            "conv": ["a", "b"],
            "fc": ["a"],
            "head": ["b"],
        }
        assert layers["conv"]["b"] is B.layers["conv"]

    def test_spectra_share_their_bins(self) -> None:
        spectra = compare({"a": A, "b": B}).spectra(bins=5)
        np.testing.assert_array_equal(spectra["a"].edges, spectra["b"].edges)
        assert spectra["a"].edges.tolist() == [0, 1, 2, 3, 4, 5]
        assert spectra["b"].counts["conv"].tolist() == [0, 0, 1, 1, 0]


class TestWarnings:
    def test_of_unequal_examples(self) -> None:
        more = audit_of({"conv": np.ones((1234, 1))})
        (line,) = compare({"a": B, "m": more}).warnings
        assert line.startswith("the models saw 2, 1,234 examples")

    def test_of_unequal_thresholds(self) -> None:
        other = audit_of({"conv": np.ones((2, 1))}, threshold=0.5)
        assert "the thresholds are 0.0, 0.5" in compare({"a": B, "o": other}).warnings[0]

    def test_of_each_model(self) -> None:
        broken = audit_of({"conv": [[1.0], [1.0]]}, never_fired=["gone"])
        (line,) = compare({"fine": A, "broken": broken}).warnings
        assert line.startswith("broken: 1 expected audit point never fired")


class TestExports:
    def test_text(self) -> None:
        lines = str(compare({"a": A, "b": B})).splitlines()
        assert lines[0].split() == [
            "model",
            "examples",
            "units",
            "dead",
            "NNU",
            "published",
            "NNU",
            "skewness",
            "consistency",
            "accuracy",
        ]
        assert lines[1].split()[-1] == "0.75"
        assert lines[2].split()[-1] == "n/a"

    def test_table_has_a_row_per_model(self) -> None:
        assert compare({"a": A, "b": B}).table().row_count == 2

    def test_json(self, tmp_path: Path) -> None:
        compare({"a": A, "b": B}).to_json(tmp_path / "c.json")
        read = json.loads((tmp_path / "c.json").read_text())
        assert [model["accuracy"] for model in read["models"]] == [0.75, None]
        assert [(row["model"], row["layer"]) for row in read["layers"]] == [
            ("a", "conv"), ("b", "conv"), ("a", "fc"), ("b", "head"),
        ]  # fmt: skip

    def test_pandas(self) -> None:
        pytest.importorskip("pandas")
        comparison = compare({"a": A, "b": B})
        assert comparison.to_pandas()["units"].tolist() == [3, 3]
        assert comparison.to_pandas(per="layer")["layer"].tolist() == ["conv", "conv", "fc", "head"]
        with pytest.raises(ValueError, match="per: expected 'model' or 'layer', got 'unit'"):
            comparison.to_pandas(per="unit")

    def test_many_models(self) -> None:
        audits = {f"model {seed}": audit_of(relu_arrays(3, seed=seed)) for seed in range(7)}
        assert len(compare(audits).rows()) == 7


class TestArguments:
    @pytest.mark.parametrize(
        ("audits", "accuracy", "error", "message"),
        [
            ({}, None, ValueError, "audits: expected at least one, got none"),
            ([A], None, TypeError, "audits: expected a mapping of names to audits, got list"),
            (
                {"a": "run.safetensors"},
                None,
                TypeError,
                r"audits\['a'\]: expected an Audit under a name, got str",
            ),
            ({3: A}, None, TypeError, r"audits\[3\]"),
            ({"a": A}, {"b": 0.5}, ValueError, r"accuracy: expected names among \['a'\], got 'b'"),
            ({"a": A}, {"a": "high"}, TypeError, r"accuracy\['a'\]: expected a number, got str"),
        ],
    )
    def test_bad_ones_are_named(
        self, audits: Any, accuracy: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            compare(audits, accuracy)
