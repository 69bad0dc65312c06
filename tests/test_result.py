from __future__ import annotations

import copy
import csv
import io
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich.console
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.compare import compare
from neurocensus.result import Audit, LayerAudit, merge
from neurocensus.state import UnitState

from .audit_samples import NASTY_NAMES, audit_of, layer_audit, relu_arrays

# (examples, units) with the units of two fixed layers, so that audits can be merged.
PARTS = st.integers(0, 5).flatmap(
    lambda examples: st.fixed_dictionaries(
        {
            name: hnp.arrays(np.float64, (examples, units), elements=st.integers(-2, 2).map(float))
            for name, units in (("a", 3), ("b", 2))
        }
    )
)


class TestNumbers:
    @given(PARTS)
    def test_of_the_whole_are_sums_over_layers(self, arrays: dict[str, Any]) -> None:
        audit = audit_of(arrays)
        examples = len(arrays["a"])
        dead = sum(int((array == 0).all(axis=0).sum()) for array in arrays.values()) if examples else 0
        assert audit.units == 5
        assert audit.dead == dead
        assert audit.nnu == dead / 5
        assert audit.utilization == 1 - dead / 5
        assert audit.values == sum(array.size for array in arrays.values())
        assert audit.unseen == (0 if examples else 5)
        if examples:
            assert audit.nnu_published == dead / (5 * examples)

    def test_of_a_layer(self) -> None:
        array = np.zeros((200, 4))
        array[:, 0] = np.arange(200)
        array[7, 1] = 5
        array[:, 2] = -1
        layer = audit_of({"x": array}).layers["x"]
        assert layer.units == 4
        assert layer.dead == 1
        assert layer.dead_units.tolist() == [3]
        assert layer.nnu == 0.25
        assert layer.near_dead_units().tolist() == [1, 3]
        assert layer.near_dead_units(share=0.999).tolist() == [3]
        assert layer.dormant_units().tolist() == [1, 3]
        assert layer.dormant_units(tau=0.0).tolist() == [3]
        assert layer.silent_fraction.tolist() == pytest.approx([1 / 200, 199 / 200, 0, 1])
        assert layer.zero_fraction.tolist() == pytest.approx([1 / 200, 199 / 200, 0, 1])
        assert layer.argmax.tolist() == [199, 7, 0, 0]
        assert layer.max == 199
        assert layer.examples == 200
        assert layer.values == 800
        assert layer.unseen == 0
        assert np.isnan(layer.firing_rate_bound).tolist() == [True, True, True, False]
        assert layer.firing_rate_bound[3] == pytest.approx(3 / 200, rel=0.01)
        assert layer.dead_units.dtype == layer.argmax.dtype == np.int64

    def test_of_a_layer_that_saw_nothing(self) -> None:
        layer = layer_audit("expert", UnitState(3))
        assert layer.dead == 0
        assert layer.unseen == 3
        assert math.isnan(layer.max)
        assert math.isnan(layer.skewness)

    def test_layers_keep_their_order_and_cannot_be_replaced(self) -> None:
        audit = audit_of({name: [[1.0]] for name in "zxa"})
        assert list(audit.layers) == ["z", "x", "a"]
        with pytest.raises(TypeError):
            audit.layers["z"] = audit.layers["a"]  # type: ignore[index]

    def test_spectrum_and_range(self) -> None:
        audit = audit_of({"a": [[0.0, 2.0]], "b": [[4.0]]})
        assert audit.spectrum(bins=4).edges.tolist() == [0, 1, 2, 3, 4]
        assert audit.range().maxima == {"a": 2, "b": 4}
        assert audit.range().consistency == pytest.approx(1 / 3)


class TestArguments:
    def test_layers_must_be_layer_audits(self) -> None:
        with pytest.raises(TypeError, match=r"layers\['a'\]: expected a LayerAudit, got UnitState"):
            Audit({"a": UnitState(1)}, model="m", examples=0, batches=0)  # type: ignore[dict-item]

    def test_layers_must_be_under_their_own_name(self) -> None:
        with pytest.raises(ValueError, match=r"layers\['b'\]: expected a layer of that name, got 'a'"):
            Audit({"b": layer_audit("a", UnitState(1))}, model="m", examples=0, batches=0)

    def test_one_threshold(self) -> None:
        """pitfall 20: what counts as zero is recorded, and the same everywhere."""
        layers = {"a": layer_audit("a", UnitState(1, threshold=0.5))}
        with pytest.raises(ValueError, match=r"expected the threshold 0\.0, got 0\.5"):
            Audit(layers, model="m", examples=0, batches=0)
        assert Audit(layers, model="m", examples=0, batches=0, threshold=0.5).to_dict()["threshold"] == 0.5

    @pytest.mark.parametrize(
        ("annotations", "error"),
        [
            ({"a": None}, TypeError),
            ({"a": np.float32(1)}, TypeError),
            ({3: "x"}, TypeError),
            ({"a": math.nan}, ValueError),
        ],
    )
    def test_annotations_are_plain(self, annotations: dict[Any, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match="annotations"):
            audit_of({}, annotations=annotations)

    def test_annotations_are_checked_when_set(self) -> None:
        audit = audit_of({})
        audit.annotations = {"accuracy": 0.5}
        assert audit.annotations == {"accuracy": 0.5}
        for wrong in (np.float32(0.5), math.inf, 10**400):
            with pytest.raises((TypeError, ValueError), match="'accuracy'"):
                audit.annotations = {"accuracy": wrong}
        assert audit.annotations == {"accuracy": 0.5}

    def test_versions_are_recorded(self) -> None:
        assert {"neurocensus", "python", "numpy"} <= audit_of({}).versions.keys()


class TestText:
    def test_says_the_numbers_and_the_layers(self) -> None:
        shown = str(audit_of({"conv": np.zeros((3, 1200)), "fc": [[1.0]] * 3}))
        assert "Audit of Net: 3 examples, 2 layers, 1,201 units" in shown
        assert "NNU 99.9 %: 1,200 of 1,201 units dead, utilization 0.0833 %" in shown
        assert "NNU as published (dead / units x examples): 33.3 %" in shown
        assert "warning" not in shown

    def test_each_layer_has_one_line_whatever_its_name(self) -> None:
        shown = str(audit_of({name: [[1.0]] for name in NASTY_NAMES}))
        assert len(shown.splitlines()) == 4 + 1 + len(NASTY_NAMES)
        assert "\x1b" not in shown

    def test_thousands_of_layers_are_cut_and_said_to_be(self) -> None:
        shown = str(audit_of({f"layer{index:04}": [[1.0]] for index in range(1000)}))
        assert "... 960 layers not shown; to_csv and report have all ..." in shown
        assert "layer0019" in shown
        assert "layer0020" not in shown
        assert "layer0999" in shown
        assert len(shown.splitlines()) < 60

    def test_repr_is_one_line(self) -> None:
        assert repr(audit_of({"a": [[0.0, 1.0]]})) == "<Audit of Net: 1 layer, 2 units, 1 example, NNU 50 %>"

    def test_empty_audit(self) -> None:
        assert "n/a" in str(audit_of({}))

    def test_rich_table_shows_names_literally(self) -> None:
        console = rich.console.Console(file=io.StringIO(), width=200, force_terminal=False)
        console.print(audit_of({name: [[1.0]] for name in NASTY_NAMES}, never_fired=["[b]gone[/b]"]).table())
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert "[red]x[/red]" in shown
        assert "<script>alert(1)</script>" in shown
        assert "'[b]gone[/b]'" in shown
        assert "\x1b" not in shown


class TestWarnings:
    def test_never_fired_is_shown_everywhere(self) -> None:
        """pitfall 1: a point that never fired is an error to show, not a gap."""
        audit = audit_of({"a": [[1.0]]}, expected=["a", "out_proj"], never_fired=["out_proj"])
        assert any(
            "1 expected audit point never fired" in line and "'out_proj'" in line for line in audit.warnings
        )
        assert "never fired" in str(audit)
        assert audit.to_dict()["never_fired"] == ["out_proj"]

    def test_calls_that_come_and_go_are_named(self) -> None:
        layers = dict(audit_of({name: [[1.0]] for name in ("act", "act:2", "relu", "relu:2")}).layers)
        layers["act"] = replace(layers["act"], calls=2)
        audit = Audit(layers, model="m", examples=1, batches=2)
        (line,) = audit.warnings
        assert line.startswith("called more often in some forwards than in others: 'act:2'. The k-th call")

    def test_nonfinite_values_are_counted(self) -> None:
        audit = audit_of({"a": [[np.nan, np.inf, 1.0], [-np.inf, np.inf, 0.0]]})
        assert audit.warnings == (
            "1 NaN value and 3 infinite values in 'a': counted, and left out of everything else",
        )

    def test_unseen_units(self) -> None:
        layers = {"e": layer_audit("e", UnitState(4))}
        audit = Audit(layers, model="m", examples=3, batches=1)
        assert audit.warnings == ("4 units without a single value (unseen is not dead) in 'e'",)
        assert "unseen" in str(audit)

    def test_train_mode(self) -> None:
        """pitfall 20: dropout makes zeros in train mode."""
        layers = {"d": layer_audit("d", UnitState(1).update(np.ones((1, 1))), training=True)}
        (line,) = Audit(layers, model="m", examples=1, batches=1).warnings
        assert line.startswith("train mode in 'd'")

    def test_no_examples(self) -> None:
        assert "no example went through the model" in audit_of({}).warnings


class TestExports:
    def test_csv_per_layer_survives_any_name(self, tmp_path: Path) -> None:
        audit = audit_of({name: [[0.0, 1.0]] for name in NASTY_NAMES})
        audit.to_csv(tmp_path / "a.csv")
        with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["layer"] for row in rows] == list(NASTY_NAMES)
        assert {row["dead"] for row in rows} == {"1"}

    @given(PARTS)
    def test_csv_per_unit_has_every_unit_exactly(
        self, tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]
    ) -> None:
        audit = audit_of(arrays)
        path = tmp_path_factory.getbasetemp() / "units.csv"
        audit.to_csv(path, per="unit")
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        layers = audit.layers.values()
        assert [(row["layer"], int(row["unit"])) for row in rows] == [
            (layer.name, unit) for layer in layers for unit in range(layer.units)
        ]
        dead = np.concatenate([layer.state.dead for layer in layers])
        assert [row["dead"] for row in rows] == [str(bool(value)) for value in dead]
        means = np.concatenate([layer.state.mean for layer in layers]).tolist()
        if len(arrays["a"]):
            assert [float(row["mean"]) for row in rows] == means
        else:
            assert {row["mean"] for row in rows} == {""}

    def test_json_is_valid_where_numbers_are_not(self, tmp_path: Path) -> None:
        audit = Audit(
            {
                "e": layer_audit("e", UnitState(2)),
                "x": layer_audit("x", UnitState(1).update(np.ones((1, 1)))),
            },
            model="m",
            examples=1,
            batches=1,
        )
        audit.to_json(tmp_path / "a.json")

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        read = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
        assert read["layers"][0]["max"] is None
        assert read["layers"][0]["unseen"] == 2
        assert read["layers"][1]["max"] == 1
        assert read["nnu"] == 0
        assert read["skewness"] is None
        for recorded in ("threshold", "examples", "values", "versions"):
            assert recorded in read
        for recorded in ("unit_rule", "dtype", "training", "threshold", "examples", "values"):
            assert recorded in read["layers"][0]

    def test_pandas(self) -> None:
        pytest.importorskip("pandas")
        audit = audit_of(relu_arrays(3))
        layers, units = audit.to_pandas(), audit.to_pandas(per="unit")
        assert list(layers["layer"]) == list(audit.layers)
        assert layers["dead"].sum() == audit.dead == units["dead"].sum()
        assert len(units) == audit.units
        assert list(units["layer"].unique()) == list(audit.layers)
        assert len(audit_of({}).to_pandas(per="unit")) == 0

    def test_pandas_missing_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=r"pip install 'neurocensus\[pandas\]'"):
            audit_of({}).to_pandas()

    def test_per_is_checked(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="per: expected 'layer' or 'unit', got 'neuron'"):
            audit_of({}).to_csv(tmp_path / "a.csv", per="neuron")
        assert not (tmp_path / "a.csv").exists()


class TestMerge:
    @given(PARTS, PARTS)
    def test_is_the_audit_of_both_data_sets_as_one(
        self, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        """pitfall 17: parts that are unlike, unequal, or empty."""
        merged = merge(audit_of(first), audit_of(second), allow_repeated=True)
        whole = audit_of({name: np.concatenate([first[name], second[name]]) for name in first})
        assert merged.examples == whole.examples
        assert merged.batches == 2
        for name, layer in whole.layers.items():
            other = merged.layers[name].state
            for field in ("examples", "values"):
                assert getattr(other, field) == getattr(layer.state, field)
            for field in ("nonzero", "active_examples", "max", "min", "argmax", "dead", "nan", "inf"):
                np.testing.assert_array_equal(
                    getattr(other, field), getattr(layer.state, field), err_msg=field
                )
            for field in ("mean", "m2", "mean_abs"):
                np.testing.assert_allclose(getattr(other, field), getattr(layer.state, field), atol=1e-12)

    def test_leaves_its_arguments_alone(self) -> None:
        a, b = audit_of({"x": [[1.0, 0.0]]}), audit_of({"x": [[0.0, 3.0]]})
        merged = merge(a, b)
        assert merged.dead == 0
        assert merged.layers["x"].argmax.tolist() == [0, 1]
        assert (a.dead, b.dead) == (1, 1)
        assert b.layers["x"].argmax.tolist() == [0, 0]

    def test_takes_any_number(self) -> None:
        parts = [audit_of({"x": [[float(index)]]}) for index in range(4)]
        assert merge(*parts).layers["x"].argmax.tolist() == [3]
        assert merge(parts[0]) is parts[0]

    def test_keeps_layers_that_only_one_has(self) -> None:
        a = audit_of({"x": [[1.0]], "y": [[1.0]]}, expected=["x", "y", "z", "w"], never_fired=["z", "w"])
        b = audit_of({"x": [[1.0]], "z": [[2.0]]}, expected=["x", "y", "z", "w"], never_fired=["y", "w"])
        merged = merge(a, b)
        assert list(merged.layers) == ["x", "y", "z"]
        assert merged.layers["z"].argmax.tolist() == [1]  # its example is the second of all
        assert merged.expected == ("x", "y", "z", "w")
        assert merged.never_fired == ("w",)

    def test_records_both(self) -> None:
        def one(**changes: Any) -> Audit:
            layer = layer_audit("x", UnitState(1).update(np.ones((1, 1))), **changes)
            return Audit({"x": layer}, model="m", examples=1, batches=1)

        layer = merge(
            one(dtype="float32"), one(dtype="bfloat16", training=True, calls=4, masked=True)
        ).layers["x"]
        assert (layer.dtype, layer.training, layer.calls, layer.masked) == (
            "float32, bfloat16",
            True,
            5,
            True,
        )

    def test_drops_annotations_that_disagree(self) -> None:
        a = audit_of({}, annotations={"accuracy": 0.9, "seed": 1, "a": "x"})
        b = audit_of({}, annotations={"accuracy": 0.8, "seed": 1, "b": "y"})
        assert merge(a, b).annotations == {"seed": 1, "a": "x", "b": "y"}

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (
                audit_of({"x": [[1.0, 2.0]]}),
                "layer 'x': expected the same units in all audits, got 1 in audit 1 and 2 in audit 2",
            ),
            (
                audit_of({"x": [[1.0]]}, histogram=True),
                "same histogram in all audits, got False in audit 1 and True in",
            ),
            (
                audit_of({"x": [[1.0]]}, threshold=0.5),
                r"expected one threshold, got 0\.0 in audit 1 and 0\.5 in audit 2",
            ),
            (
                audit_of({"x": [[1.0]]}, model="Other"),
                "expected audits of one model, got 'Net' in audit 1 and 'Other' in audit 2",
            ),
            (
                Audit({"x": layer_audit("x", UnitState(1), unit_axis=2)}, model="Net", examples=0, batches=0),
                "same unit_axis in all audits, got 1 in audit 1 and 2 in audit 2",
            ),
        ],
    )
    def test_refuses_what_was_counted_otherwise(self, other: Audit, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            merge(audit_of({"x": [[1.0]]}), other)

    def test_refuses_what_is_no_audit(self) -> None:
        with pytest.raises(TypeError, match="merge: expected audits, got str"):
            merge(audit_of({}), "run.safetensors")  # type: ignore[arg-type]


def test_reading_results_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; import neurocensus.result, neurocensus.compare, neurocensus.storage;"
        "print([m for m in ('torch', 'matplotlib', 'pandas', 'jinja2', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_results_can_be_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    """Worker processes send them back."""
    audit = audit_of(relu_arrays(2), annotations={"accuracy": 0.5})
    again, comparison = copied(audit), copied(compare({"a": audit}))
    assert again.to_dict() == audit.to_dict()
    assert comparison.to_dict() == compare({"a": audit}).to_dict()
    assert copied(audit.range()) == audit.range()


def test_reprs_fit_a_notebook() -> None:
    audit = audit_of(relu_arrays(3))
    shown = [repr(thing) for thing in (audit, audit.spectrum(), compare({"a": audit}))]
    assert all("\n" not in line and len(line) < 160 for line in shown)
    assert "100 bins" in shown[1]
    assert shown[2] == "<Comparison of 1 model: 'a'>"


def test_a_layer_audit_is_frozen() -> None:
    layer: LayerAudit = layer_audit("a", UnitState(1))
    with pytest.raises(AttributeError):
        layer.name = "b"  # type: ignore[misc]
