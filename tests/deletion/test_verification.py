from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurocensus as nc
from neurocensus import deletion
from neurocensus.data import Examples

from .models import images, seeded


def test_the_dead_units_of_an_audit_by_layer() -> None:
    audit = nc.audit(seeded("residual", 3), [images()])
    dead = deletion.dead_units(audit)
    assert all(np.array_equal(dead[name], audit.layers[name].dead_units) for name in dead)
    assert set(dead) == {name for name, layer in audit.layers.items() if layer.dead}
    assert dead.count == audit.dead
    assert repr(dead) == f"<DeadUnits: {audit.dead} units in {len(dead)} layers>"
    name = next(iter(dead))
    assert list(deletion.dead_units(audit, layers=[name])) == [name]
    with pytest.raises(ValueError, match="layers: the model has no layer 'x'"):
        deletion.dead_units(audit, layers=["x"])


def near_dead() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.fill_(0.0)
        model[0].bias.copy_(torch.tensor([0.001, 1.0, 0.002, -1.0]))
        model[2].weight.fill_(1.0)
    return model


def test_units_dead_up_to_a_threshold_make_a_difference_of_its_size() -> None:
    model, x = near_dead(), torch.rand(6, 3)
    dead = deletion.dead_units(nc.audit(model, [x], threshold=0.01))
    assert dead["1"].tolist() == [0, 2, 3]
    assert dead.threshold == 0.01
    found = deletion.verify(model, dead, [x[:4], x[4:]])
    assert not found.equal
    assert (found.differing_examples, found.first, found.repeatable) == (6, 0, True)
    assert found.max_abs_difference == pytest.approx(0.003, rel=1e-3)
    assert "outputs of 6 differ, first of example 0, by up to 0.003" in str(found)
    exact = deletion.verify(model, deletion.dead_units(nc.audit(model, [x])), [x])
    assert exact.equal
    assert str(exact) == "1 unit masked, 6 examples: every output the same, bit for bit"


def test_only_the_examples_that_differ_are_counted() -> None:
    model = nn.Sequential(nn.ReLU())
    x = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [5.0, 0.0]])
    found = deletion.verify(model, {"0": [0]}, [x[:1], x[1:]])
    assert (found.differing_examples, found.first, found.max_abs_difference) == (2, 1, 5.0)


class Gives(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.hold, self.function = nn.Identity(), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.hold(x))


def test_the_sign_of_a_zero_and_nan_are_differences_too() -> None:
    x = torch.ones(3, 2)
    found = deletion.verify(Gives(lambda h: torch.where(h == 0, -0.0, 0.0)), {"hold": [0]}, [x])
    assert (found.equal, found.differing_examples, found.max_abs_difference) == (False, 3, 0.0)
    found = deletion.verify(Gives(lambda h: 1 / h - 1 / h), {"hold": [0]}, [x])
    assert not found.equal
    assert math.isnan(found.max_abs_difference)
    assert deletion.verify(Gives(lambda h: h * torch.nan), {"hold": [0]}, [x]).equal


@pytest.mark.parametrize(
    "output",
    [
        lambda h: (h, {"a": h.sum(1)}),
        lambda h: h.bfloat16(),
        lambda h: h.double(),
        lambda h: torch.complex(h, h),
        lambda h: h > 0,
        lambda h: (h * 100).long(),
        lambda h: h.sum(),
    ],
)
def test_outputs_of_any_form_are_compared(output: Any) -> None:
    x = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    assert deletion.verify(Gives(output), {"hold": [0]}, [x]).equal
    assert not deletion.verify(Gives(output), {"hold": [1]}, [x]).equal


def test_a_model_that_does_not_repeat_itself_is_said_to() -> None:
    model = Gives(lambda h: h + torch.rand(h.shape))
    state = torch.get_rng_state()
    found = deletion.verify(model, {"hold": [0]}, [torch.zeros(2, 2)])
    assert not found.equal
    assert not found.repeatable
    assert "does not repeat itself" in str(found)
    assert torch.equal(state, torch.get_rng_state())


def test_examples_and_batches_are_taken_and_the_model_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    model = seeded("plain").train()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8)
    examples = Examples(pixels, np.arange(10) % 2, ("a", "b"))
    x = examples.batch(slice(None))[0]
    dead = deletion.dead_units(nc.audit(model, [x]))
    assert dead.count
    for data in (examples, [x], [(x, 0)], iter([x])):
        found = deletion.verify(model, dead, data, batch_size=4)
        assert (found.equal, found.examples) == (True, 10)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_nothing_to_verify_with_is_told() -> None:
    model = seeded("plain")
    with pytest.raises(ValueError, match="examples: expected at least one, got none"):
        deletion.verify(model, {"1": [0]}, [])
    with pytest.raises(TypeError, match="loader: expected an iterable of batches"):
        deletion.verify(model, {"1": [0]}, images())
