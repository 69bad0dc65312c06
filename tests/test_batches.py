"""Loaders and batches: the kinds that are taken, cut and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from neurocensus import reference
from neurocensus.auditor import audit

from .capture.models import assert_is, mlp


@pytest.mark.parametrize(
    "loader",
    [
        lambda x: [x[:4], x[4:]],
        lambda x: iter(x.split(4)),
        lambda x: [(x[:4], torch.zeros(4)), (x[4:], torch.zeros(1))],
        lambda x: [[x[:4], None], [x[4:], None]],
        lambda x: [{"input": x[:4]}, {"input": x[4:]}],
        lambda x: DataLoader(TensorDataset(x, torch.zeros(5)), batch_size=4),
    ],
)
def test_kinds_of_loader(loader: Callable[[Tensor], Any]) -> None:
    model = mlp()
    x = torch.randn(5, 3)
    result = audit(model, loader(x), progress=False)
    assert_is(result.layers["1"], reference.census(model[0](x).relu().detach().double().numpy()))
    assert (result.examples, result.batches) == (5, 2)


def test_forward_runs_any_batch() -> None:
    model = mlp()
    result = audit(model, ["ab", "c"], forward=lambda m, text: m(torch.ones(len(text), 3)), progress=False)
    assert result.layers["1"].state.examples == 3
    with pytest.raises(TypeError, match="max_examples: cannot cut a batch that holds a str"):
        audit(model, ["ab"], forward=lambda m, text: None, max_examples=1, progress=False)
    with pytest.raises(TypeError, match=r"batches that are tensors, .*got str; .*forward="):
        audit(model, ["ab"], progress=False)


@pytest.mark.parametrize("count", [1, 4, 5, 9, 100])
def test_max_examples_cuts_the_last_batch(count: int) -> None:
    x = torch.randn(9, 3)
    for loader in (
        x.split(4),
        [(a, list(range(len(a)))) for a in x.split(4)],
        [{"input": a} for a in x.split(4)],
    ):
        result = audit(mlp(), loader, max_examples=count, progress=False)
        assert result.examples == min(count, 9)
        assert {layer.state.examples for layer in result.layers.values()} == {min(count, 9)}


def test_max_examples_takes_no_batch_too_many() -> None:
    def loader() -> Iterator[Tensor]:
        yield torch.randn(4, 3)
        raise AssertionError("one batch too many")

    assert audit(mlp(), loader(), max_examples=4, progress=False).examples == 4


@pytest.mark.parametrize(
    ("loader", "error", "words"),
    [
        (torch.zeros(2, 3), TypeError, r"got a single array; give batches: x.split\(64\)"),
        (np.zeros((2, 3)), TypeError, "got a single array"),
        ("data", TypeError, "iterable of batches .*got str"),
        ({"x": torch.zeros(2, 3)}, TypeError, "got dict"),
        (3, TypeError, "got int"),
        ([], ValueError, "at least one example"),
        ([torch.zeros(0, 3)], ValueError, "at least one example"),
    ],
)
def test_loaders_that_cannot_be(loader: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"loader: .*{words}"):
        audit(mlp(), loader, progress=False)


def test_examples_are_not_batches_yet() -> None:
    from neurocensus.data import Examples

    examples = Examples(np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1]), ("a", "b"))
    with pytest.raises(TypeError, match=r"got Examples; give neurocensus\.data\.batches\(examples, 64\)"):
        audit(torch.nn.ReLU(), examples)
