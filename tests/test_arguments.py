"""Checks of arguments: what passes comes out plain, and the rest is told by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.arguments import height_width, integer, per_channel

INTEGERS = st.integers(-300, 300)
KINDS = st.sampled_from([int, np.int64, np.int16, torch.tensor])


@given(value=INTEGERS, kind=KINDS, least=st.none() | INTEGERS)
def test_integers_of_any_library_become_ints(value: int, kind: Any, least: int | None) -> None:
    if least is not None and value < least:
        with pytest.raises(ValueError, match=f"^seed: expected at least {least}, got {value}$"):
            integer("seed", kind(value), least)
    else:
        number = integer("seed", kind(value), least)
        assert type(number) is int
        assert number == value


@pytest.mark.parametrize("value", ["0", 1.5, 2.0, None, True, np.True_, np.float32(1), [1]])
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^seed: expected an integer, got \w+$"):
        integer("seed", value)


@given(height=st.integers(1, 99), width=st.integers(1, 99), kind=KINDS, least=st.integers(1, 99))
def test_sizes_are_two_integers_or_one(height: int, width: int, kind: Any, least: int) -> None:
    for value, size in (
        ((height, width), (height, width)),
        ([kind(height), kind(width)], (height, width)),
        (np.array([height, width]), (height, width)),
        (kind(height), (height, height)),
    ):
        if min(size) < least:
            words = f"^size: expected at least {least} x {least} pixels for it, got {size[0]} x {size[1]}$"
            with pytest.raises(ValueError, match=words):
                height_width("size", value, least, "it")
        else:
            found = height_width("size", value, least)
            assert found == size
            assert [type(side) for side in found] == [int, int]


@pytest.mark.parametrize(
    "value", [None, 150.0, "150", "15", (150,), (1, 2, 3), (150.0, 150), True, (True, 5), [[1, 2], [3]], {}]
)
def test_what_is_no_size(value: Any) -> None:
    words = r"^size: expected \(height, width\) in pixels, or one integer for both, got "
    with pytest.raises(TypeError, match=words):
        height_width("size", value)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [(0.5, [0.5]), (1, [1.0]), ([0.5], [0.5]), ((1, 2, 3), [1.0, 2.0, 3.0]), (np.float64(2), [2.0])],
)
def test_one_number_or_one_per_channel(value: Any, numbers: list[float]) -> None:
    found = per_channel("std", value, 3)
    assert found.dtype == np.float32
    assert found.tolist() == numbers


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ((1, 2), ValueError, r"std: expected one number, or one for each of 3 channels, got \(1, 2\)"),
        ((), ValueError, "one for each of 3 channels"),
        ([[1, 2, 3]], ValueError, "one for each of 3 channels"),
        ("0.5", TypeError, "one for each of 3 channels, got '0.5'"),
        (True, TypeError, "got True"),
        ((1, None, 3), TypeError, "one for each of 3 channels"),
        ([[1], [2, 3]], TypeError, "one for each of 3 channels"),
        ((1, float("nan"), 1), ValueError, "std: expected finite numbers"),
        (1e300, ValueError, "std: expected finite numbers"),
        ((1, 0, 1), ValueError, r"std: expected numbers above 0, got \(1, 0, 1\)"),
        (1e-300, ValueError, "std: expected numbers above 0"),
    ],
)
def test_what_is_no_standard_deviation(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        per_channel("std", value, 3)


def test_a_mean_may_be_zero_or_less() -> None:
    assert per_channel("mean", (0, -1), 2).tolist() == [0, -1]
