from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.explain import Responses
from neurocensus.explain.responses.result import joined

from ...audit_samples import NASTY_NAMES

SIZES = st.integers(1, 4)
FLOATS = st.sampled_from([0.0, -0.0, 1.0, -1.5, np.nan, np.inf]) | st.floats(width=32)


@st.composite
def some(draw: st.DrawFn) -> Responses:
    """Any responses at all."""
    count, inputs = draw(SIZES), draw(SIZES)
    names = draw(
        st.lists(st.text(max_size=5) | st.sampled_from(NASTY_NAMES), min_size=1, max_size=3, unique=True)
    )
    shapes = {name: (count, inputs, draw(SIZES)) for name in names}
    return Responses(
        model=draw(st.text(max_size=5)),
        steps=np.array(sorted(draw(st.sets(st.integers(0, 2**40), min_size=count, max_size=count)))),
        inputs=tuple(draw(st.lists(st.text(max_size=5), min_size=inputs, max_size=inputs))),
        layers={name: draw(hnp.arrays(np.float32, shape, elements=FLOATS)) for name, shape in shapes.items()},
        silent={name: draw(hnp.arrays(np.bool_, shape)) for name, shape in shapes.items()},
        reduce=draw(st.sampled_from(["max", "mean"])),
        fingerprint=draw(st.text(max_size=3)),
    )


def of(values: Any, silent: Any = None, steps: Any = None, **changes: Any) -> Responses:
    """Responses of one layer, "a", whose values are (steps, inputs, units)."""
    array = np.array(values, np.float32)
    fields: dict[str, Any] = {
        "model": "Net",
        "steps": np.arange(len(array)) * 10 if steps is None else steps,
        "inputs": tuple(f"input {k}" for k in range(array.shape[1])),
        "layers": {"a": array},
        "silent": {"a": array == 0 if silent is None else np.array(silent)},
    }
    return Responses(**{**fields, **changes})


def assert_same(a: Responses, b: Responses) -> None:
    """Bit for bit."""
    for field in ("model", "inputs", "reduce", "fingerprint"):
        assert getattr(a, field) == getattr(b, field), field
    assert a.steps.tobytes() == b.steps.tobytes()
    for ours, theirs in ((a.layers, b.layers), (a.silent, b.silent)):
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            assert array.shape == theirs[name].shape
            assert array.dtype == theirs[name].dtype
            assert array.tobytes() == theirs[name].tobytes()


class TestMeaning:
    @given(some())
    def test_flat_is_the_same_number_at_all_of_several_steps(self, responses: Responses) -> None:
        for name, values in responses.layers.items():
            lines = [values[:, :, unit].T.tolist() for unit in range(values.shape[2])]
            several = len(responses.steps) > 1
            wanted = [
                several and all(len(set(line)) == 1 and line[0] == line[0] for line in unit) for unit in lines
            ]
            assert responses.flat(name).tolist() == wanted

    @given(some())
    def test_dead_is_silent_on_every_input(self, responses: Responses) -> None:
        for name, silent in responses.silent.items():
            wanted = [[all(unit) for unit in zip(*step, strict=True)] for step in silent.tolist()]
            assert responses.dead(name).tolist() == wanted
            lives = responses.lives()[name]
            assert np.array_equal(lives.dead, responses.dead(name))
            assert np.array_equal(lives.steps, responses.steps)

    def test_one_of_each(self) -> None:
        responses = of([[[0, 5, 0, 1], [0, 6, 0, 0]], [[0, 5, 0, 0], [0, 6, 2, 0]]])
        assert responses.flat("a").tolist() == [True, True, False, False]
        assert responses.dead("a").tolist() == [[True, False, True, False], [True, False, False, True]]
        statuses = [life.status for life in responses.lives()["a"].lives]
        assert statuses == ["born dead", "alive", "revived", "died"]

    def test_a_maximum_of_zero_is_not_dead_where_there_were_other_values(self) -> None:
        responses = of(np.zeros((2, 1, 1)), silent=[[[False]], [[True]]])
        assert responses.flat("a").all()
        assert responses.dead("a").tolist() == [[False], [True]]

    def test_rows_for_pandas(self) -> None:
        pytest.importorskip("pandas")
        frame = of([[[0, 5]], [[1, 6]]]).to_pandas()
        assert frame.to_dict("list") == {
            "layer": ["a"] * 4,
            "step": [0, 0, 10, 10],
            "input": ["input 0"] * 4,
            "unit": [0, 1, 0, 1],
            "value": [0, 5, 1, 6],
            "silent": [True, False, False, False],
        }

    def test_rows_of_several_layers_for_pandas(self) -> None:
        pytest.importorskip("pandas")
        two = of([[[0, 5]]])
        two = Responses("Net", two.steps, two.inputs, {"a": two.layers["a"], "$b": two.layers["a"][:, :, :1]},
                        {"a": two.silent["a"], "$b": two.silent["a"][:, :, :1]})  # fmt: skip
        assert two.to_pandas()["layer"].tolist() == ["a", "a", "$b"]
        assert two.units == 3

    def test_a_repr_says_what_there_is(self) -> None:
        assert repr(of([[[0, 5]], [[1, 6]]])) == "<Responses of Net: 2 steps, 1 input, 1 layer, 2 units>"


class TestJoined:
    @given(some(), st.randoms(use_true_random=False))
    def test_any_parts_in_any_order_are_the_whole(self, whole: Responses, random: Any) -> None:
        parts = [
            Responses(
                whole.model,
                whole.steps[k : k + 1],
                whole.inputs,
                {name: array[k : k + 1] for name, array in whole.layers.items()},
                {name: array[k : k + 1] for name, array in whole.silent.items()},
                whole.reduce,
                whole.fingerprint,
            )
            for k in range(len(whole.steps))
        ]
        random.shuffle(parts)
        assert_same(joined(parts), whole)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model": "Other"}, "model: expected 'Net', as recorded at step 0, got 'Other'"),
            ({"inputs": ("x",)}, r"inputs: expected \('input 0',\), as recorded at step 0, got \('x',\)"),
            ({"reduce": "mean"}, "reduce: expected 'max'"),
            ({"fingerprint": "f"}, "fingerprint: expected ''"),
            (
                {"values": [[[0, 1, 2]]]},
                r"layers: expected those recorded at step 0, .*\{'a': 2\}, got \{'a': 3\}",
            ),
            ({"steps": [0]}, "steps: expected them from 0 on, each above the one before"),
        ],
    )
    def test_of_other_things(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            joined([of([[[0, 1]]]), of(**{"values": [[[0, 1]]], "steps": [10], **change})])

    def test_of_nothing(self) -> None:
        with pytest.raises(ValueError, match="parts: expected at least one, got none"):
            joined([])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reduce": "sum"}, ValueError, "reduce: expected 'max' or 'mean', got 'sum'"),
        (
            {"steps": [0, 1, 2]},
            ValueError,
            r"layers\['a'\]: expected shape \(3, 1, 'units'\), got \(2, 1, 2\)",
        ),
        ({"inputs": ("x", "y")}, ValueError, r"layers\['a'\]: expected shape \(2, 2, 'units'\)"),
        ({"silent": np.zeros((2, 1, 3), bool)}, ValueError, r"silent\['a'\]: .*got \(2, 1, 3\)"),
        ({"silent": np.zeros((2, 1, 2))}, TypeError, r"silent\['a'\]: expected bool, got float64"),
        ({"layers": {"a": np.zeros((2, 1, 2))}}, TypeError, r"layers\['a'\]: expected float32, got float64"),
        ({"layers": {"a": np.zeros((2, 1), np.float32)}}, ValueError, r"layers\['a'\]: .*got \(2, 1\)"),
        ({"layers": {"a": np.zeros((2, 1, 0), np.float32)}}, ValueError, r"layers\['a'\]: .*got \(2, 1, 0\)"),
        ({"layers": {}}, ValueError, r"silent: expected the layers of layers, .*got \['a'\] for \[\]"),
    ],
)
def test_what_no_recorder_gives(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        of(**{"values": [[[0, 1]], [[1, 0]]], **change})


@pytest.mark.parametrize("method", ["flat", "dead"])
def test_a_layer_that_is_not_there(method: str) -> None:
    with pytest.raises(ValueError, match=r"layer: expected one of \['a'\], got 'b'"):
        getattr(of([[[0, 1]]]), method)("b")
