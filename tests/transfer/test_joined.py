from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import neurocensus as nc
from neurocensus import transfer
from neurocensus.capture.names import named_modules


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        out: Tensor = self.relu(y)
        return out


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(4, 3, 3), nn.Linear(3 * 36, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.max_pool2d(self.conv(x), 1), 0.5, self.training)
        x = F.relu(x).flatten(1)
        x = F.gelu(self.fc1(x).clone())
        out: Tensor = self.fc2(x)
        return out


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Concatenating(nn.Module):
    """As in a dense net: what reaches the second ReLU is made of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(8)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.norm(torch.cat([self.a(x), self.b(x)], 1)))
        return out


class Shuffling(nn.Module):
    """The number of units stays, their order does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.flip, self.tanh = (
            nn.Conv2d(4, 4, 1),
            nn.ReLU(),
            nn.Conv2d(4, 4, 1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)
        x = self.flip(self.relu(x)).flip(1)
        out: Tensor = self.tanh(x)
        return out


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 1), nn.ReLU6(inplace=True), nn.Flatten(), nn.Linear(5 * 9, 4), nn.Sigmoid(),
        nn.Linear(4, 2),
    )  # fmt: skip


MODELS: dict[str, tuple[Any, dict[str, str]]] = {
    "sequential": (sequential, {"0": "3", "1": "3", "5": "6", "8": "9", "10": "10"}),
    "residual": (Residual, {"conv1": "relu", "bn1": "relu", "conv2": "relu:2", "bn2": "relu:2"}),
    "functional": (Functional, {"conv": "relu", "fc1": "gelu", "fc2": "fc2"}),
    "custom": (lambda: nn.Sequential(nn.Conv2d(4, 3, 1), Swish()), {"0": "1"}),
    "concatenating": (Concatenating, {"a": "a", "b": "b", "norm": "relu"}),
    "shuffling": (Shuffling, {"conv": "conv", "flip": "flip"}),
}


def batch() -> Tensor:
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS)
def test_points_are_where_the_units_become_activations(name: str) -> None:
    make, expected = MODELS[name]
    assert transfer.activation_points(make(), batch()) == expected


@pytest.mark.parametrize("name", MODELS)
def test_points_are_audit_points_and_unit_k_drives_unit_k(name: str) -> None:
    """Shift one unit of a layer by a lot: at its point that unit changes, and no other."""
    torch.manual_seed(0)
    model = MODELS[name][0]().eval()
    modules = {path: module for path, module, _ in named_modules(model)}
    plain = nc.audit(model, [batch()])
    for layer, point in transfer.activation_points(model, batch()).items():
        if point == layer:
            continue
        for unit in range(plain.layers[point].units):

            def shift(module: nn.Module, inputs: Any, output: Tensor, unit: int = unit) -> Tensor:
                return output + 3.0 * F.one_hot(torch.tensor(unit), output.shape[1]).view(
                    1, -1, *(1 for _ in output.shape[2:])
                )

            handle = modules[layer].register_forward_hook(shift)
            shifted = nc.audit(model, [batch()])
            handle.remove()
            change = np.abs(shifted.layers[point].state.mean - plain.layers[point].state.mean)
            assert np.flatnonzero(change > 1e-3).tolist() == [unit], (layer, point)


def test_finding_the_points_leaves_the_model_and_the_random_states() -> None:
    model = sequential().train()
    before = transfer.snapshot(model)
    state = torch.get_rng_state()
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    transfer.activation_points(model, batch())
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_points_are_those_of_a_batch_as_a_loader_gives_it() -> None:
    model = sequential()
    wanted = transfer.activation_points(model, batch())
    assert transfer.activation_points(nn.DataParallel(model), (batch(), torch.zeros(3))) == wanted


def joined(**changes: Any) -> tuple[transfer.JoinedShift, nc.Audit, nc.Audit]:
    torch.manual_seed(0)
    model = sequential()
    before, old = transfer.snapshot(model), nc.audit(model, [batch()])
    with torch.no_grad():
        model[0].weight += 0.5 * torch.randn(model[0].weight.shape)
        model[1].bias[2] = -100.0  # kills unit 2
    new = nc.audit(model, [batch()])
    points = changes.get("points", transfer.activation_points(model, batch()))
    return transfer.weight_shift(before, model).join(old, new, points=points), old, new


def test_units_have_their_shift_beside_their_activations() -> None:
    found, old, new = joined()
    assert list(found.layers) == ["0", "1", "5", "8", "10"]
    assert not found.unmatched
    rows = [row for row in found.rows("unit") if row["layer"] == "0"]
    assert len(rows) == 6
    for unit, row in enumerate(rows):
        assert row["point"] == "3"
        assert row["relative_l2"] == found.layers["0"].shift.unit_relative_l2[unit] > 0
        assert row["max_before"] == old.layers["3"].state.max[unit]
        assert row["max_after"] == new.layers["3"].state.max[unit]
        assert row["max_change"] == row["max_after"] - row["max_before"]
        assert (
            row["mean_abs_change"]
            == new.layers["3"].state.mean_abs[unit] - old.layers["3"].state.mean_abs[unit]
        )
    assert (rows[2]["dead_before"], rows[2]["dead_after"]) == (False, True)


def test_layers_have_the_dead_the_died_and_the_revived() -> None:
    found, old, new = joined()
    row = found.rows()[0]
    assert (row["dead_before"], row["dead_after"]) == (old.layers["3"].dead, new.layers["3"].dead)
    assert row["died"] - row["revived"] == row["dead_after"] - row["dead_before"]
    assert row["died"] >= 1
    assert row["max_change"] == new.layers["3"].max - old.layers["3"].max
    assert found.table().row_count == 5
    assert "0" in str(found)
    pytest.importorskip("pandas")
    assert len(found.to_pandas("unit")) == len(found.rows("unit")) == 6 + 6 + 5 + 4 + 2


def test_without_points_only_layers_audited_themselves_are_joined() -> None:
    found, *_ = joined(points=None)
    assert list(found.layers) == ["10"]
    assert found.unmatched["0"] == "no audit point of its name"
    (warning,) = [line for line in str(found).splitlines() if line.startswith("warning")]
    names = ", ".join(f"'{name}'" for name in found.unmatched)
    assert warning == f"warning: not joined: {names}: no audit point of its name"


def test_points_by_hand_are_taken() -> None:
    found, *_ = joined(points={"0": "4"})
    assert found.layers["0"].before.name == "4"


def test_a_point_of_another_number_of_units_is_not_joined() -> None:
    found, *_ = joined(points={"0": "6"})
    assert found.unmatched["0"] == "6 units, but point '6' has 5 before and 5 after"


def test_what_cannot_be_joined_is_told() -> None:
    torch.manual_seed(0)
    model = sequential()
    old = nc.audit(model, [batch()])
    shift = transfer.weight_shift(transfer.snapshot(sequential()), model)
    with pytest.raises(ValueError, match="points: expected names of layers with a weight, got '3'"):
        shift.join(old, old, points={"3": "3"})
    with pytest.raises(ValueError, match="expected audits with the same examples, got 3 and 2"):
        shift.join(old, nc.audit(model, [batch()[:2]]))
    with pytest.raises(ValueError, match=r"expected audits with the same threshold, got 0\.0 and 0\.5"):
        shift.join(old, nc.audit(model, [batch()], threshold=0.5))
    other = nc.audit(nn.ReLU(), [batch()])
    with pytest.raises(ValueError, match=r"points=neurocensus\.transfer\.activation_points\(model, batch\)"):
        shift.join(other, other)
