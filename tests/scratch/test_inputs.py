"""From images to rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocensus.data import Examples
from neurocensus.scratch import flatten


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
        (Examples(np.zeros((2, 5), np.float32), np.array([0, 1]), ("a", "b")), TypeError, "uint8 pixels"),
    ],
)
def test_what_is_no_image(images: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        flatten(images)
