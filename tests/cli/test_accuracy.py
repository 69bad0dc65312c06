"""Accuracy counted in passing: right where it can be, with a reason where it cannot."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurocensus.cli.accuracy import Accuracy
from neurocensus.resuming.carried import Saved


@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    classes=st.integers(2, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_accuracy_is_the_share_of_right_answers_however_batched(
    sizes: list[int], classes: int, seed: int
) -> None:
    """Pitfall 13: batches of any size, empty ones too, count by their examples."""
    draw = np.random.default_rng(seed)
    accuracy, right = Accuracy(classes), []
    for size in sizes:
        logits, labels = draw.random((size, classes)), draw.integers(0, classes, size)
        out = accuracy(nn.Identity(), (torch.from_numpy(logits), torch.from_numpy(labels)))
        np.testing.assert_array_equal(out, logits)
        right.extend(logits.argmax(1) == labels)
    assert accuracy.value == (pytest.approx(np.mean(right)) if right else None)
    assert accuracy.reason == ""


@pytest.mark.parametrize(
    ("output", "labels", "classes", "reason"),
    [
        (torch.ones(2, 3), torch.tensor([0, 3]), None, "1 labels are none"),
        (torch.ones(2, 3), torch.tensor([-1, 0]), None, "1 labels are none"),
        (torch.ones(2, 3), torch.tensor([0, 1]), 2, "3 outputs, the data 2 classes"),
        (torch.ones(2, 1), torch.tensor([0, 1]), None, "a single output"),
        (torch.ones(2, 3, 4), torch.tensor([0, 1]), None, "(2, 3, 4), not (N, classes)"),
        (torch.ones(3, 3), torch.tensor([0, 1]), None, "(3, 3)"),
        (torch.ones(2, 3), torch.tensor([0.0, 1.0]), None, "not integers"),
        (torch.ones(2, 3), torch.tensor([[0], [1]]), None, "not integers"),
        (torch.ones(2, 3), ["a", "b"], None, "not integers"),
    ],
)
def test_no_accuracy_has_a_reason(
    output: torch.Tensor, labels: Any, classes: int | None, reason: str
) -> None:
    accuracy = Accuracy(classes)
    accuracy(nn.Identity(), (torch.ones(2, classes or 2), torch.tensor([0, 1])))
    assert accuracy.value == 0.5
    accuracy(nn.Identity(), (output, labels))
    assert reason in accuracy.reason
    assert accuracy.value is None


@pytest.mark.parametrize("batch", [torch.ones(2, 3), (torch.ones(2, 3),), {"input": torch.ones(2, 3)}])
def test_batches_without_labels_are_run_and_not_counted(batch: Any) -> None:
    accuracy = Accuracy()
    assert accuracy(nn.Identity(), batch).shape == (2, 3)
    assert (accuracy.value, accuracy.reason) == (None, "")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_what_is_saved_in_parts_is_the_whole(sizes: list[int], split: int, seed: int) -> None:
    """Of processes, and of a run before an interruption, which goes on."""
    draw = np.random.default_rng(seed)
    batches = [
        (torch.from_numpy(draw.random((n, 3))), torch.from_numpy(draw.integers(0, 3, n))) for n in sizes
    ]
    whole, first, second, later = (Accuracy(3) for _ in range(4))
    for index, batch in enumerate(batches):
        whole(nn.Identity(), batch)
        (first if index < split else second)(nn.Identity(), batch)
    later.restore(*(Saved(json.loads(json.dumps(part.save().values))) for part in (first, second)))
    assert (later.value, later.reason) == (whole.value, whole.reason)
    later.restore(first.save())
    for batch in batches[split:]:
        later(nn.Identity(), batch)
    assert later.value == whole.value


def test_a_reason_of_one_part_is_that_of_the_whole() -> None:
    good, bad, unknown, whole = (Accuracy(3) for _ in range(4))
    good(nn.Identity(), (torch.eye(3), torch.arange(3)))
    bad(nn.Identity(), (torch.eye(3), torch.ones(3)))
    unknown(nn.Identity(), (torch.eye(3), torch.arange(3) + 1))
    whole.restore(good.save(), bad.save())
    assert (whole.value, whole.reason) == (None, bad.reason)
    whole.restore(unknown.save(), good.save())
    assert (whole.value, whole.reason) == (None, "1 labels are none of the model's outputs")
