"""Losses, right answers, and outputs that no loss fits."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocensus.training.logits import Logits
from neurocensus.training.objective import Judge, binary, categorical, check_outputs

from .samples import dense, features, pictures

LABELS = st.lists(st.integers(0, 1), min_size=1, max_size=20)


@given(labels=LABELS, data=st.data())
def test_binary_is_the_cross_entropy_of_torch(labels: list[int], data: st.DataObject) -> None:
    n = len(labels)
    values = data.draw(st.lists(st.floats(2**-20, 1 - 2**-20, width=32), min_size=n, max_size=n))
    p = torch.tensor(values).reshape(-1, 1).requires_grad_()
    y = torch.tensor(labels)
    loss, right = binary(p, y)
    wanted = F.binary_cross_entropy(p.squeeze(1).double(), y.double())
    torch.testing.assert_close(loss.double(), wanted, rtol=1e-5, atol=1e-7)
    assert right == sum((v > 0.5) == bool(k) for v, k in zip(values, labels, strict=True))
    loss_of_logits, right_too = binary(p, y, torch.logit(p.double()))
    torch.testing.assert_close(loss_of_logits.double(), wanted, rtol=1e-5, atol=1e-7)
    assert right_too == right


@given(labels=LABELS, data=st.data())
def test_binary_is_finite_for_every_probability_and_lets_nan_through(
    labels: list[int], data: st.DataObject
) -> None:
    n = len(labels)
    p = torch.tensor(data.draw(st.lists(st.floats(0, 1, width=32), min_size=n, max_size=n))).requires_grad_()
    loss, _ = binary(p, torch.tensor(labels))
    loss.backward()
    assert p.grad is not None
    assert loss.isfinite()
    assert p.grad.isfinite().all()
    with torch.no_grad():
        p[data.draw(st.integers(0, n - 1))] = torch.nan
    assert binary(p, torch.tensor(labels))[0].isnan()


def test_half_is_no() -> None:
    """As Keras rounds it."""
    assert binary(torch.tensor([0.5, 0.5]), torch.tensor([0, 1]))[1] == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_losses_are_float32_of_any_output(dtype: torch.dtype) -> None:
    labels = torch.tensor([0, 1, 1])
    for loss, right in (
        binary(torch.tensor([0.25, 0.5, 0.75], dtype=dtype), labels),
        categorical(torch.eye(3, dtype=dtype)[:, :2], labels),
    ):
        assert (loss.dtype, loss.shape) == (torch.float32, ())
        assert (right.dtype, right.shape) == (torch.float32, ())


def test_categorical_counts_the_largest_logit() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    loss, right = categorical(logits, torch.tensor([2, 1]))
    assert right == 1
    torch.testing.assert_close(loss, -(logits.log_softmax(1)[0, 2] + logits.log_softmax(1)[1, 1]) / 2)


class Ends(nn.Module):
    """One linear layer with fixed weights, and an end."""

    def __init__(self, end: nn.Module, view: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)
        nn.init.constant_(self.linear.weight, 100.0)
        self.end, self.view = end, view

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.end(self.linear(x))
        return out[:, 0] if self.view else out


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


@pytest.mark.parametrize("view", [False, True])
def test_a_saturated_sigmoid_still_learns(view: bool) -> None:
    """The reason for looking for logits: the gradient of the probability itself is zero."""
    data = features(8)
    inputs, labels = data.batch(slice(None))
    for end, learns in ((nn.Sigmoid(), True), (Functional(), False)):
        model = Ends(end, view)
        judge = Judge(model, nullcontext(), {"train": data})
        loss, _ = judge(inputs.abs(), torch.zeros_like(labels))
        loss.backward()
        assert model.linear.weight.grad is not None
        assert bool(model.linear.weight.grad.any()) is learns
        assert not model.end._forward_hooks


def test_only_the_last_step_of_the_model_counts_as_its_sigmoid() -> None:
    inner = nn.Sigmoid()

    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)
            return out / 2

    model = Halved()
    logits = Logits(model)
    with logits.watched():
        outputs = model(torch.zeros(3, 1))
    assert logits.behind(outputs) is None
    x = torch.zeros(3, 1)
    with logits.watched():
        outputs = inner(x)
    assert logits.behind(outputs) is x
    assert logits.behind(outputs) is None  # nothing is held on to


def test_over_all_examples_is_the_mean_of_all_and_not_of_batches() -> None:
    data = features(203)  # two batches of 100 and one of 3
    model = dense()
    inputs, labels = data.batch(slice(None))
    with torch.no_grad():
        loss, right = binary(model(inputs), labels)
    found = Judge(model.train(), nullcontext(), {"train": data}).over(data, torch.device("cpu"))
    assert found == pytest.approx((float(loss), float(right) / 203), rel=1e-6)
    assert not model.training


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (torch.zeros(4, 1, dtype=torch.int64), TypeError, "floating-point tensor as output, got torch.int64"),
        ((torch.zeros(4, 1),), TypeError, "floating-point tensor as output, got tuple"),
        (torch.zeros(4, 1, 1), ValueError, r"expected an output of shape (4, 1), probabilities, or (4, k)"),
        (torch.zeros(3, 1), ValueError, "for a batch of 4 examples, got (3, 1)"),
        (torch.zeros(()), ValueError, "got ()"),
        (torch.zeros(4, 0), ValueError, "got (4, 0)"),
        (torch.full((4, 1), -0.5), ValueError, "got values from -0.5 to -0.5; end the model with a sigmoid"),
        (torch.full((4,), 1.5), ValueError, "expected probabilities in [0, 1]"),
    ],
)
def test_outputs_that_no_loss_fits(outputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        check_outputs(outputs, 4, {"train": features(4)})
    assert message in str(caught.value)


@pytest.mark.parametrize(("shape", "width"), [((6,), 1), ((6, 1), 1), ((6, 2), 2), ((6, 5), 5)])
def test_the_width_of_an_output(shape: tuple[int, ...], width: int) -> None:
    assert check_outputs(torch.zeros(shape), 6, {"train": features(6)}) == width


def test_not_a_number_is_no_wrong_output() -> None:
    assert check_outputs(torch.full((4, 1), torch.nan), 4, {"train": features(4)}) == 1


def test_labels_that_are_not_two_classes() -> None:
    message = (
        "validation: expected two classes for a model with one output, got 3 (class 0, class 1, class 2); "
        "choose two of them, or a model with an output for each"
    )
    with pytest.raises(ValueError) as caught:
        check_outputs(torch.zeros(4, 1), 4, {"train": pictures(4), "validation": pictures(4, classes=3)})
    assert str(caught.value) == message


def test_fewer_outputs_than_classes() -> None:
    with pytest.raises(
        ValueError, match="labels from 0 to 1 for a model with 2 outputs, got 0, 1, 2; give the"
    ):
        check_outputs(torch.zeros(4, 2), 4, {"train": pictures(4, classes=3)})


@pytest.mark.parametrize("outputs", [torch.zeros(4, 1), torch.zeros(4, 2)])
def test_one_class_only(outputs: Tensor) -> None:
    one = pictures(8).take([0, 2, 4, 6])
    with pytest.raises(
        ValueError, match="train: expected examples of two classes or more, got only 'class 0'"
    ):
        check_outputs(outputs, 4, {"train": one})
    check_outputs(outputs, 4, {"train": pictures(4), "validation": one})
