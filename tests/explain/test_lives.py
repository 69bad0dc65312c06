from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus.explain import Life, Lives, lives_of, lives_sheet
from neurocensus.explain.lives import STATUSES

from ..audit_samples import audit_of, relu_arrays

DEAD = hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 5)))


def steps_for(dead: Any) -> list[int]:
    return [3 * index**2 + 2 for index in range(len(dead))]


def told(unit: int, steps: list[int], dead: list[bool]) -> Life:
    """A life record by record, as one would tell it."""
    deaths, revivals = [], []
    for index in range(1, len(dead)):
        if dead[index] and not dead[index - 1]:
            deaths.append(steps[index])
        if not dead[index] and dead[index - 1]:
            revivals.append(steps[index])
    if all(dead):
        status = "born dead"
    elif dead[-1]:
        status = "died"
    else:
        status = "revived" if any(dead) else "alive"
    return Life(unit, status, tuple(deaths), tuple(revivals))  # type: ignore[arg-type]


@given(DEAD)
def test_lives_are_as_told_record_by_record(dead: Any) -> None:
    steps = steps_for(dead)
    lives = Lives(steps, dead)  # type: ignore[arg-type]
    assert lives.lives == tuple(told(unit, steps, dead[:, unit].tolist()) for unit in range(dead.shape[1]))
    assert [STATUSES[code] for code in lives.statuses] == [life.status for life in lives.lives]
    assert lives.counts() == {
        status: sum(life.status == status for life in lives.lives) for status in STATUSES
    }
    assert lives.units == dead.shape[1]


def test_a_life_of_each_kind() -> None:
    dead = np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 1], [0, 1, 1, 0, 0]], bool)
    assert Lives(np.array([0, 10, 20]), dead).lives == (
        Life(0, "alive"),
        Life(1, "born dead"),
        Life(2, "died", deaths=(20,)),
        Life(3, "revived", revivals=(10,)),
        Life(4, "revived", deaths=(10,), revivals=(20,)),
    )


def test_a_repr_says_what_there_is() -> None:
    dead = np.array([[0, 1], [0, 1]], bool)
    assert repr(Lives(np.array([0, 10]), dead)) == "<Lives of 2 units over 2 records: 1 alive, 1 born dead>"


@pytest.mark.parametrize(
    ("steps", "dead", "error", "message"),
    [
        ([], np.zeros((0, 2), bool), ValueError, r"steps: expected at least one, .*got shape \(0,\)"),
        ([0, 0], np.zeros((2, 2), bool), ValueError, r"steps: .* each above the one before, got \[0, 0\]"),
        ([-1, 0], np.zeros((2, 2), bool), ValueError, r"steps: expected them from 0 on"),
        ([0.5, 1], np.zeros((2, 2), bool), TypeError, "steps: expected integers, got float64"),
        ([[0]], np.zeros((1, 2), bool), ValueError, r"steps: .*in one dimension, got shape \(1, 1\)"),
        ([0, 1], np.zeros((2, 2)), TypeError, "dead: expected bool, got float64; use dead != 0"),
        ([0, 1], np.zeros((3, 2), bool), ValueError, r"dead: expected shape \(2, units\).*got \(3, 2\)"),
        ([0, 1], np.zeros((2, 0), bool), ValueError, "dead: expected .* with at least one unit"),
        ([0, 1], np.zeros(2, bool), ValueError, r"dead: expected shape \(2, units\).*got \(2,\)"),
    ],
)
def test_what_no_training_gives(steps: Any, dead: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Lives(steps, dead)


class TestOfAudits:
    def test_dead_units_of_each_audit_in_the_order_of_the_steps(self) -> None:
        arrays = {step: relu_arrays(2, seed=step) for step in (20, 0, 10)}
        audits = {step: audit_of(found) for step, found in arrays.items()}
        lives = lives_of(audits)
        assert list(lives) == list(arrays[0])
        for name, layer in lives.items():
            assert layer.steps.tolist() == [0, 10, 20]
            for row, step in zip(layer.dead, (0, 10, 20), strict=True):
                assert np.array_equal(row, ~arrays[step][name].any(axis=0))
        assert any(layer.dead.any() for layer in lives.values())

    @pytest.mark.parametrize(
        ("audits", "error", "message"),
        [
            ([], TypeError, "audits: expected a mapping of steps to audits, got list"),
            ({}, ValueError, "audits: expected at least one, got none"),
            ({"a": audit_of({"a": [[0.0]]})}, TypeError, "audits: step: expected an integer, got str"),
            ({-1: audit_of({"a": [[0.0]]})}, ValueError, "audits: step: expected at least 0, got -1"),
            ({0: "x.safetensors"}, TypeError, r"audits\[0\]: expected an Audit, got str; .*neurocensus.load"),
        ],
    )
    def test_no_audits(self, audits: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            lives_of(audits)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (audit_of({"a": [[0.0, 1]]}, model="Other"), "the model of .*'Net', got 'Other'"),
            (audit_of({"a": [[0.0, 1]]}, threshold=0.1), "the threshold of .*0.0, got 0.1"),
            (audit_of({"a": [[0.0, 1], [1, 1]]}), "the number of examples of .*1, got 2"),
            (audit_of({"b": [[0.0, 1]]}), r"the layers of .*\['a'\], got \['b'\]"),
            (audit_of({"a": [[0.0, 1, 2]]}), r"the units of .*\[2\], got \[3\]"),
        ],
    )
    def test_audits_that_cannot_be_compared(self, other: Any, message: str) -> None:
        with pytest.raises(ValueError, match=rf"audits\[5\]: expected {message}"):
            lives_of({5: other, 0: audit_of({"a": [[0.0, 1]]})})


class TestSheet:
    def test_a_row_per_layer(self) -> None:
        dead = np.array([[0, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 1], [0, 1, 1, 0, 0]], bool)
        quiet = np.zeros((4, 2), bool)
        steps = np.array([0, 1000, 1500, 2000])
        sheet = lives_sheet({"a|b": Lives(steps, dead), "c": Lives(steps, quiet)})
        assert sheet.rows() == [
            {
                "layer": "a|b", "units": 5, "alive": 1, "born dead": 1, "died": 1, "revived": 2,
                "first_death": 1000, "last_revival": 2000,
            },
            {
                "layer": "c", "units": 2, "alive": 2, "born dead": 0, "died": 0, "revived": 0,
                "first_death": None, "last_revival": None,
            },
        ]  # fmt: skip
        assert sheet.cells()[0] == ("a|b", "5", "1", "1", "1", "2", "1,000", "2,000")
        assert sheet.cells()[1][-2:] == ("", "")
        assert sheet.notes[0] == "2 of 7 units are dead at step 2,000"
        assert "a\\|b" in sheet.markdown()

    def test_no_layer(self) -> None:
        with pytest.raises(ValueError, match="lives: expected at least one layer, got none"):
            lives_sheet({})
