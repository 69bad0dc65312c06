"""One output: what can be counted, and where it has its units and examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus import UnitState
from neurocensus.auditor import Auditor
from neurocensus.capture.counting import Counter
from neurocensus.capture.functions import Role
from neurocensus.capture.points import Point

from .models import Apply, assert_counts, run


def test_the_unit_rule_is_told_and_can_be_overridden() -> None:
    model = nn.Sequential(nn.Conv1d(3, 6, 1), nn.ReLU())
    x = torch.randn(2, 3, 4)
    assert run(model, x).layers["1"].unit_rule == "axis 1: after conv1d"
    for unit_axis in (-1, {"1": 2}):
        layer = run(model, x, unit_axis=unit_axis).layers["1"]
        assert (layer.unit_rule, layer.unit_axis, layer.state.units) == ("given", 2, 4)
    with pytest.raises(ValueError, match="layer '1': unit_axis: expected an axis of a 3-D output"):
        run(model, x, unit_axis={"1": 3})


def test_sequences_that_come_first() -> None:
    """Recurrent modules with batch_first=False have examples on axis 1."""
    model = Apply(
        lambda s, x: s.head(s.lstm(x.transpose(0, 1))[0][-1]), lstm=nn.LSTM(4, 5), head=nn.Linear(5, 2)
    )
    x = torch.randn(3, 7, 4)
    with torch.no_grad():
        hidden = model.lstm(x.transpose(0, 1))[0]
    result = run(model, x)
    assert_counts(result.layers["lstm"], [hidden], 2, example_axis=1)
    assert result.layers["head"].state.examples == 3

    encoder = nn.TransformerEncoderLayer(4, 2, 8).eval()
    result = run(encoder, torch.randn(7, 3, 4), example_axis=1)
    assert {layer.state.examples for layer in result.layers.values()} == {3}
    assert result.examples == 3

    model = Apply(lambda s, x: s.head(s.gru(x)[0][-1]), gru=nn.GRU(4, 5), head=nn.Linear(5, 2))
    result = run(model, torch.randn(7, 3, 4), example_axis=1)
    assert [layer.example_axis for layer in result.layers.values()] == [1, 0]
    assert {layer.state.examples for layer in result.layers.values()} == {3}


def test_the_rank_of_a_layer_may_change_but_not_its_units() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    result = run(model, torch.randn(2, 4), torch.randn(3, 5, 4))
    assert (result.layers["1"].state.examples, result.layers["1"].state.values) == (5, 2 + 15)
    shrinking = Apply(lambda self, x: F.relu(x))
    with pytest.raises(
        ValueError, match=r"layer 'relu': the number of units changed: expected 4, got 5 on axis 1"
    ):
        run(shrinking, torch.randn(2, 4), torch.randn(2, 5))
    assert not shrinking._forward_hooks


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x.long(), "int64"),
        (lambda x: x > 0, "bool"),
        (lambda x: x + 1j, "complex64"),
        (lambda x: x.to(torch.float8_e5m2), "float8_e5m2"),
        (lambda x: x.sum(), "scalar"),
        (lambda x: x.to_sparse(), "sparse"),
        (lambda x: None, "got none"),
        (lambda x: x[0], "both on axis 0"),
    ],
)
def test_outputs_that_cannot_be_counted(function: Callable[[Tensor], Any], reason: str) -> None:
    """Skipped and told where the layer was not asked for by name, an error where it was."""
    model = nn.Sequential(nn.Linear(3, 3), Apply(lambda self, x: function(x)))
    x = torch.randn(2, 3)
    with Auditor(model, layers="modules") as auditor:
        model(x)
    assert reason in auditor.skipped["1"]
    with pytest.warns(UserWarning, match=f"not counted: 1: .*{reason}"):
        assert list(auditor.compute().layers) == ["0"]
    with pytest.raises((TypeError, ValueError), match=f"layer '1': .*{reason}"):
        run(model, x, layers=["1"])


def test_meta_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="layer '0': the output is on the meta device"):
        run(nn.Sequential(nn.Linear(2, 2, device="meta")), torch.randn(2, 2, device="meta"))


def test_transforms_of_torch_func_are_skipped() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with Auditor(model, layers="modules") as auditor:
        torch.vmap(model)(torch.randn(2, 4, 3))
    assert set(auditor.skipped) == {"0", "1"}


def test_a_state_for_each_device_joined_at_the_end() -> None:
    """Devices by name only: what they hold is on the host here, as it is where there is no CUDA module."""
    counter = Counter(
        unit_axis=None, example_axis=0, make_state=lambda units, device: UnitState(units), threads=1
    )
    point = Point("relu", "ReLU", Role.ACTIVATION)
    first, second = torch.randn(4, 3), torch.randn(5, 3)
    counter.place(point, first, None, False)
    counter.base, counter.batch = 0, 4
    counter.count(point, first, False)
    point.counts[""].device = torch.device("cuda", 7)  # as if the first had been there
    counter.base, counter.batch = 4, 5
    counter.count(point, second, False)
    count = point.counts[""]
    assert [state.examples for state in count.states()] == [4, 5]  # type: ignore[attr-defined]
    total, wanted = point.total(), UnitState(3).update(torch.cat([first, second]))
    for name in ("examples", "values", "nonzero", "max", "argmax"):
        np.testing.assert_array_equal(getattr(total, name), getattr(wanted, name), err_msg=name)
    point.drop()
    assert not point.counts
