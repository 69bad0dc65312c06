"""From images to rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocensus.data import Examples
from neurocensus.scratch import flatten
from neurocensus.scratch.inputs import check_data


def test_rows_are_in_the_order_of_the_pixels() -> None:
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    rows = flatten(pixels)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, np.arange(72).reshape(2, 36) / 255)
    examples = Examples(pixels, np.array([0, 1]), ("a", "b"))
    np.testing.assert_array_equal(flatten(examples), rows)
    np.testing.assert_array_equal(flatten(examples.take([1])), rows[1:])
    np.testing.assert_array_equal(flatten(pixels[..., 0]), rows[:, ::3])


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        (
            [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))],
            ValueError,
            r"images of one size, got \(4, 4, 3\), \(5, 4, 3\)",
        ),
        (np.zeros((2, 4, 4, 3)), TypeError, "images: expected uint8 pixels .* got float64"),
        (np.zeros((2, 4), np.uint8), TypeError, "images: expected uint8 pixels"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "images: expected at least one pixel"),
        (None, TypeError, r"images: expected data.Examples of pixels, or uint8 pixels .*, got NoneType"),
        ([None, None], TypeError, "images: expected data.Examples of pixels, .*, got list"),
        (np.array(None), TypeError, "images: expected data.Examples of pixels, .*, got ndarray"),
        ([[[1, 2], [3]]], TypeError, "images: expected data.Examples of pixels, .*, got list"),
        ((np.zeros((4, 4)) for _ in range(2)), TypeError, "images: expected data.Examples .*, got generator"),
        ("cat.png", TypeError, "images: expected uint8 pixels .* got <U7"),
        (Examples(np.zeros((2, 5), np.float32), np.array([0, 1]), ("a", "b")), TypeError, "uint8 pixels"),
    ],
)
def test_what_is_no_image(images: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        flatten(images)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("labels", ["bool", "uint8", "int64", "float32"])
def test_real_numbers_become_float64(dtype: str, labels: str) -> None:
    x, y = check_data(np.eye(2, 3, dtype=dtype), np.array([0, 1], labels))
    assert (x.dtype, y.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(x, np.eye(2, 3))
    np.testing.assert_array_equal(y, [0, 1])


@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [
        (np.eye(2) * 1j, [0, 1], TypeError, "^x: expected real numbers, got complex128; convert them"),
        ([["1", "2"], ["3", "4"]], [0, 1], TypeError, "^x: expected real numbers, got <U1"),
        ([[b"1"], [b"2"]], [0, 1], TypeError, r"^x: expected real numbers, got \|S1"),
        ([[1, None], [2, 3]], [0, 1], TypeError, "^x: expected real numbers, got object"),
        (None, [0, 1], TypeError, "^x: expected real numbers, got object"),
        (np.zeros((2, 1), "datetime64[s]"), [0, 1], TypeError, "^x: expected real numbers, got datetime64"),
        ([[1], [2, 3]], [0, 1], ValueError, r"^x: expected numbers .*, got rows of unequal length"),
        (np.eye(2), [[0], [0, 1]], ValueError, "^y: expected a label for each .* got rows of unequal length"),
        (np.eye(2), np.array([0, 1]) + 0j, TypeError, "^y: expected labels 0 and 1, got complex128"),
        (np.eye(2), ["0", "1"], TypeError, "^y: expected labels 0 and 1, got <U1"),
        (np.eye(2), [0, None], TypeError, "^y: expected labels 0 and 1, got object"),
    ],
)
def test_what_are_no_real_numbers(x: Any, y: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        check_data(x, y)
