"""One warning when a layer dies, and none until it has recovered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neurocensus.callbacks.alarms import Alarms

from .samples import row

SERIES = st.lists(st.floats(0, 1), max_size=30)


@given(SERIES, st.floats(0, 1))
def test_an_alarm_is_a_crossing_from_below(shares: list[float], over: float) -> None:
    alarms = Alarms(over)
    found = [bool(alarms.check(row(step, {"a": share}))) for step, share in enumerate(shares)]
    before = [0.0, *shares]
    assert found == [share > over and not past > over for past, share in zip(before, shares, strict=False)]


@given(st.lists(st.sampled_from([0.2, 0.8]), max_size=12), st.integers(0, 12))
def test_a_training_that_goes_on_warns_as_if_it_had_not_stopped(shares: list[float], cut: int) -> None:
    rows = [row(step, {"a": share}) for step, share in enumerate(shares)]
    whole, second = Alarms(0.5), Alarms(0.5, rows[:cut])
    assert [whole.check(one) for one in rows][cut:] == [second.check(one) for one in rows[cut:]]


@given(SERIES)
def test_modes_and_layers_are_apart(shares: list[float]) -> None:
    alarms, alone = Alarms(0.5), Alarms(0.5)
    for step, share in enumerate(shares):
        alarms.check(row(step, {"a": 1 - share}, mode="eval"))
        found = alarms.check(row(step, {"a": share, "b": 1 - share}))
        assert [f for f in found if f["layer"] == "a"] == alone.check(row(step, {"a": share}))


def test_one_is_never_above_one_and_nan_is_warned_of_too() -> None:
    alarms = Alarms(1)
    assert alarms.check(row(1, {"a": 1.0})) == []
    broken = row(2, {"a": 0.0}, broken={"a": 3})
    assert alarms.check(broken) == [
        {"kind": "nonfinite", "layer": "a", "message": "3 NaN values and 0 infinite values"}
    ]
    assert alarms.check(broken) == []
    assert alarms.check(row(3, {"a": 0.0})) == []
    assert len(alarms.check(broken)) == 1


def test_a_layer_of_which_nothing_is_known_neither_dies_nor_recovers() -> None:
    alarms, unseen = Alarms(0.5), row(2, {"a": 0.0})
    unseen["layers"]["a"]["unseen"] = unseen["layers"]["a"]["units"]
    found = [bool(alarms.check(one)) for one in (row(1, {"a": 0.9}), unseen, row(3, {"a": 0.9}), row(4, {}))]
    assert found == [True, False, False, False]
    assert not alarms.check(row(5, {"a": 0.9}))


def test_the_sentence_says_layer_share_units_mode_and_steps() -> None:
    alarms = Alarms(0.5)
    one = row(1500, {f"layer{n}": 0.6 for n in range(7)}, first_step=1000)
    one["warnings"] = alarms.check(one)
    (sentence,) = alarms.sentences(one)
    assert sentence.startswith(
        "layers with more than 50 % of their units dead (train mode, steps 1,000 to 1,500): "
        "'layer0': 60 % of 100 units dead on 8 examples; 'layer1'"
    )
    assert sentence.endswith("; and 2 more")
    assert alarms.sentences(row(1, {"a": 0.9})) == []


def test_names_are_on_one_line() -> None:
    alarms = Alarms(0.5)
    one = row(3, {"a\n\x1b[31m": 0.6}, mode="eval")
    one["warnings"] = alarms.check(one)
    (sentence,) = alarms.sentences(one)
    assert "'a\\n\\x1b[31m'" in sentence
    assert "(eval mode, step 3)" in sentence
