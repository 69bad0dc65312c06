"""Rows have the numbers of an audit; scalars have those of the row."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import neurocensus as nc
from neurocensus.callbacks.statistics import PER_LAYER, WHOLE, mean, row_of, scalars
from neurocensus.state import UnitState
from neurocensus.tables import json_ready

from .samples import batches, kill, network, row


def test_a_row_has_the_numbers_of_the_audit() -> None:
    model = network()
    kill(model[0])
    audit = nc.audit(model, batches(3))
    found, table = row_of(audit, "eval", 20, 30), audit.to_dict()
    assert (found["step"], found["first_step"], found["mode"]) == (30, 20, "eval")
    assert found["nnu"] == 16 / 18
    shared = {"model", "examples", "batches", "units", "dead", "unseen", "nnu", "skewness", "consistency"}
    assert {key: json_ready(found[key]) for key in shared} == {key: table[key] for key in shared}
    for layer in table["layers"]:
        mine = found["layers"][layer["layer"]]
        assert {key: json_ready(mine[key]) for key in mine if key != "mean"} == {
            key: layer[key] for key in mine if key != "mean"
        }
    assert found["max"] == max(layer.max for layer in audit.layers.values())


VALUES = st.floats(-1e30, 1e30) | st.just(math.nan) | st.just(math.inf)


@given(
    st.lists(
        hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=VALUES), max_size=4
    )
)
def test_the_mean_is_that_of_all_finite_values(arrays: list[np.ndarray]) -> None:
    states = [UnitState(array.shape[1]).update(array) for array in arrays]
    values = np.concatenate([np.zeros(0), *(array[np.isfinite(array)] for array in arrays)])
    expected = math.fsum(values) / len(values) if len(values) else math.nan
    largest = np.abs(values).max(initial=0.0)
    assert mean(states) == pytest.approx(expected, rel=1e-12, abs=1e-14 * largest, nan_ok=True)


def test_scalars_are_tagged_by_statistic_and_layer() -> None:
    one = row(5, {"features.1": 0.25})
    found = scalars(one)
    assert {f"activations/{name}" for name in WHOLE} | {
        f"activations/{name}/features.1" for name in PER_LAYER
    } == set(found)
    assert found["activations/nnu"] == found["activations/nnu/features.1"] == 0.25
    assert {f"eval/{tag}": value for tag, value in found.items()} == scalars({**one, "mode": "eval"})


def test_what_is_not_finite_has_no_scalar() -> None:
    one = row(5, {"a": 0.25})
    one["layers"]["a"]["skewness"] = math.nan
    one["max"] = math.inf
    assert {"activations/skewness/a", "activations/max"}.isdisjoint(scalars(one))
    assert len(scalars(one)) == len(WHOLE) + len(PER_LAYER) - 2


def test_any_name_is_a_tag() -> None:
    found = scalars(row(5, {"a\ud800\n$": 0.5}))
    assert "activations/nnu/a\\ud800\\n$" in found


def test_an_audit_of_nothing_is_a_row() -> None:
    model = network()
    found = row_of(nc.Auditor(model).compute("train"), "train", 0, 10)
    assert math.isnan(found["nnu"])
    assert scalars(found) == {}
    json.dumps(json_ready(found), allow_nan=False)


def test_nan_values_are_counted() -> None:
    model = network()
    found = row_of(nc.audit(model, [torch.full((2, 8), math.nan)]), "eval", 0, 1)
    assert found["layers"]["1"]["nan"] == 32
    assert math.isnan(found["layers"]["1"]["mean"])
