"""What a training may be set to, and how it says what it may not."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import training
from neurocensus.training import Settings


@given(
    epochs=st.integers(1, 10**6),
    rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    seed=st.integers(0, 2**63),
    patience=st.none() | st.integers(1, 100),
)
def test_settings_survive_json(epochs: int, rate: float, seed: int, patience: int | None) -> None:
    settings = Settings(epochs, rate, seed=seed, patience=patience)
    assert Settings(**json.loads(json.dumps(dataclasses.asdict(settings)))) == settings


def test_numpy_numbers_and_torch_devices_become_plain() -> None:
    settings = Settings(np.int64(3), np.float32(0.5), seed=np.uint8(7), device=torch.device("cuda:1"))  # type: ignore[arg-type]
    assert settings == Settings(3, 0.5, seed=7, device="cuda:1")
    assert all(type(value) in (int, float, str, type(None)) for value in dataclasses.astuple(settings))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got float"),
        ({"epochs": True}, TypeError, "epochs: expected an integer, got bool"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed: expected at least 0, got -1"),
        ({"patience": 0}, ValueError, "patience: expected at least 1, got 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number above 0, got 0"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate: expected a finite number above 0, got nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate: expected a number, got str"),
        (
            {"optimizer": "adamw"},
            ValueError,
            "optimizer: expected one of 'rmsprop', 'sgd', 'adam', got 'adamw'",
        ),
        (
            {"precision": "float16"},
            ValueError,
            "precision: expected one of 'float32', 'bfloat16', 'auto', got",
        ),
    ],
)
def test_errors_name_the_setting(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Settings(**{"epochs": 1, "learning_rate": 0.1, **wrong})
    assert message in str(caught.value)


def test_importing_the_package_needs_no_torch() -> None:
    program = "import sys, neurocensus.training as t; t.Settings, t.History; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib"} & {*run.stdout.split()}


def test_every_public_name_is_there() -> None:
    assert sorted(training.__all__) == [name for name in dir(training) if getattr(training, name) is not None]
    with pytest.raises(AttributeError, match=r"module 'neurocensus\.training' has no attribute 'train'"):
        _ = training.train
