"""What a training changes around it, and gives back."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurocensus.training import Settings
from neurocensus.training.modes import (
    as_found,
    autocast,
    deterministic_convolutions,
    training_mode,
)

CPU = torch.device("cpu")


def block(affine: bool) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 1), norm=nn.BatchNorm2d(1, affine=affine)))


@given(frozen=st.sets(st.sampled_from(["a", "b"])), affine=st.booleans())
def test_frozen_batch_normalization_keeps_its_statistics(frozen: set[str], affine: bool) -> None:
    model = nn.ModuleDict({"a": block(affine), "b": block(affine)}).eval()
    for name in frozen:
        model[name].requires_grad_(False)
    training_mode(model)
    for name in "ab":
        assert model[name].norm.training is (name not in frozen)
        assert model[name].conv.training


def test_batch_normalization_with_its_own_parameters_frozen() -> None:
    model = block(affine=True)
    model.norm.requires_grad_(False)
    training_mode(model)
    assert not model.norm.training
    model = block(affine=False)  # it has no parameters: the convolution's, which train, decide
    training_mode(model)
    assert model.norm.training


def test_one_trainable_parameter_is_enough() -> None:
    model = block(affine=True)
    model.norm.weight.requires_grad_(False)
    training_mode(model)
    assert model.norm.training


def test_modes_are_given_back_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()))
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    with suppress(KeyError), as_found(model, CPU):
        model.eval()
        raise KeyError
    assert [module.training for module in model.modules()] == before


def test_cudnn_flags_are_given_back() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = False, True
        with suppress(KeyError), deterministic_convolutions():
            assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
            raise KeyError
        assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("auto", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_on_the_cpu(precision: str, dtype: torch.dtype) -> None:
    with autocast(Settings(1, 0.1, precision=precision), CPU):  # type: ignore[arg-type]
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_bfloat16_where_the_device_does_not_compute_in_it() -> None:
    settings = Settings(1, 0.1, precision="bfloat16")
    with pytest.raises(
        ValueError, match="precision: expected one that the device computes in, got 'bfloat16' on meta"
    ):
        autocast(settings, torch.device("meta"))


@pytest.mark.cuda
def test_model_goes_to_the_gpu_and_back() -> None:
    model = nn.Linear(2, 2)
    parameter = model.weight
    with as_found(model, torch.device("cuda")):
        assert model.weight.is_cuda
    assert model.weight is parameter
    assert not parameter.is_cuda
