"""The optimizers are the ones that they are named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from neurocensus.training import Settings
from neurocensus.training.optimizers import optimizer_for

GRADIENTS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-100, 100).filter(bool)
)


@given(gradients=GRADIENTS, rate=st.floats(1e-6, 1.0))
def test_rmsprop_is_that_of_keras(gradients: np.ndarray, rate: float) -> None:
    """keras.optimizers.RMSprop of Keras 2, get_updates: rho 0.9, epsilon K.epsilon(), no decay."""
    parameter = nn.Parameter(torch.ones(gradients.shape[1], dtype=torch.float64))
    optimizer = optimizer_for([parameter], Settings(1, rate))
    p, a = np.ones(gradients.shape[1]), np.zeros(gradients.shape[1])
    for g in gradients:
        a = 0.9 * a + (1.0 - 0.9) * np.square(g)
        p = p - rate * g / (np.sqrt(a) + 1e-7)
        parameter.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(parameter.detach().numpy(), p, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("rmsprop", torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-7, "momentum": 0, "centered": False}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999)}),
    ],
)
def test_the_options(name: str, kind: type, options: dict[str, object]) -> None:
    optimizer = optimizer_for([nn.Parameter(torch.ones(1))], Settings(1, 0.25, optimizer=name))  # type: ignore[arg-type]
    assert type(optimizer) is kind
    assert optimizer.defaults | options == optimizer.defaults
    assert optimizer.defaults["lr"] == 0.25
    assert optimizer.defaults["weight_decay"] == 0
