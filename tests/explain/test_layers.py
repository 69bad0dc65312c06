from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.explain.layers import chosen

from ..audit_samples import NASTY_NAMES

NAMES = ["hidden1", "hidden2", "output", *NASTY_NAMES]


@given(st.lists(st.sampled_from(NAMES), min_size=1), st.sampled_from([list, tuple, iter, dict.fromkeys]))
def test_names_come_in_the_order_of_the_network(wanted: list[str], kind: Any) -> None:
    assert chosen(kind(wanted), NAMES) == [name for name in NAMES if name in wanted]


def test_all_and_those_that_a_pattern_is_found_in() -> None:
    assert chosen("activations", NAMES) == NAMES
    assert chosen(re.compile("den2|^out"), NAMES) == ["hidden2", "output"]


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ("modules", ValueError, "layers: expected 'activations', a list of names .*, got 'modules'"),
        ("hidden1", ValueError, "layers: expected 'activations', a list of names .*, got 'hidden1'"),
        (3, TypeError, "layers: expected 'activations', a list of names .*, got 3"),
        (len, TypeError, "layers: expected 'activations', a list of names"),
        (["output", 3], TypeError, r"layers: expected names \(str\), got int in the list"),
        (["output", "hiden1"], ValueError, "no layer 'hiden1'. Did you mean 'hidden1'"),
        ([], ValueError, r"(?s)expected at least one of hidden1, .*, got \[\], which chooses none"),
        (re.compile("x{9}"), ValueError, "(?s)expected at least one of hidden1, .*, which chooses none"),
    ],
)
def test_what_chooses_nothing_that_is_there(layers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        chosen(layers, NAMES)
