from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurocensus as nc
from neurocensus import deletion
from neurocensus.data import Examples
from neurocensus.training import Settings, predict

pytest.importorskip("sklearn")

SETTINGS = Settings(epochs=2, learning_rate=1e-2, batch_size=8)


def examples(count: int = 24, seed: int = 0) -> Examples:
    """Two classes of features: which half is larger."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = random.random((count, 6), np.float32)
    features[:, :3] += labels[:, None]
    return Examples(features.astype(np.float32), labels, ("a", "b"))


def model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1), nn.Sigmoid())
    with torch.no_grad():
        net[0].bias += 1
        net[0].bias[[2, 5]] -= 10
    return net


def batch(data: Examples) -> list[Any]:
    return [data.batch(slice(None))]


def test_masked_units_stay_dead_while_the_rest_learns(tmp_path: Path) -> None:
    net, train, test = model(), examples(), examples(seed=1)
    dead = deletion.dead_units(nc.audit(net, batch(train)))
    assert dead["1"].tolist() == [2, 5]
    fresh = model()
    with torch.no_grad():
        fresh[0].bias[[2, 5]] += 20  # without a mask they would be alive
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    mask, history = deletion.retrain(fresh, dead, train, test, SETTINGS, folder=tmp_path / "run")
    assert len(history) == 2
    assert mask.attached
    assert {2, 5} <= set(nc.audit(fresh, batch(test)).layers["1"].dead_units.tolist())
    after = fresh.state_dict()
    assert torch.equal(after["0.weight"][[2, 5]], before["0.weight"][[2, 5]])
    assert not torch.equal(after["0.weight"], before["0.weight"])
    mask.remove()
    assert nc.audit(fresh, batch(test)).layers["1"].state.max[[2, 5]].all()


def test_called_again_it_goes_on_and_with_another_mask_it_refuses(tmp_path: Path) -> None:
    train, folder = examples(), tmp_path / "run"
    first = model()
    deletion.retrain(first, {"1": [2]}, train, train, SETTINGS, folder=folder)
    again = model(seed=9)
    _, history = deletion.retrain(again, {"1": [2]}, train, train, SETTINGS, folder=folder)
    assert len(history) == 2
    assert torch.equal(first[0].weight, again[0].weight)
    other = model()
    with pytest.raises(
        ValueError, match=r"another mask, 1 units in 1 layers .*this one is 2 units in 1 layers"
    ):
        deletion.retrain(other, {"1": [2, 3]}, train, train, SETTINGS, folder=folder)
    assert not other[1]._forward_hooks
    (folder / "mask.json").write_text("{")
    with pytest.raises(ValueError, match=r"mask\.json is damaged"):
        deletion.retrain(other, {"1": [2]}, train, train, SETTINGS, folder=folder)
    (folder / "mask.json").unlink()
    with pytest.raises(ValueError, match=r"holds other files and no mask\.json"):
        deletion.retrain(other, {"1": [2]}, train, train, SETTINGS, folder=folder)


def test_a_training_that_fails_leaves_no_mask(tmp_path: Path) -> None:
    net = model()

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deletion.retrain(net, {"1": [2]}, examples(), examples(), SETTINGS, folder=tmp_path, on_step=stop)
    assert not net[1]._forward_hooks


def test_models_are_compared_by_metrics_and_roc() -> None:
    net, test = model(), examples(40, seed=1)
    dead = deletion.dead_units(nc.audit(net, batch(test)))
    with deletion.masked(net, dead):
        held = predict(net, test)
    found = deletion.compare({"source": net, "masked": held, "other": model(seed=5)}, test)
    assert found.examples == 40
    rows = {row["model"]: row for row in found.rows()}
    assert rows["source"] == rows["masked"] | {"model": "source"}, "masking dead units changes nothing"
    assert rows["masked"]["changed"] == 0
    expected = (predict(net, test) > 0.5) != (predict(model(seed=5), test) > 0.5)
    assert rows["other"]["changed"] == expected.sum()
    assert rows["source"]["accuracy"] == ((predict(net, test) > 0.5) == test.labels).mean()
    assert {"true_positive_rate", "cohens_kappa", "f1", "auc"} <= rows["source"].keys()
    assert found.table().row_count == len(rows["source"]) - 1
    assert found.to_dict()["examples"] == 40
    assert len(found.plot_roc().axes[0].lines) >= 3


def test_models_of_more_classes_are_compared_by_accuracy() -> None:
    torch.manual_seed(0)
    data = Examples(np.random.default_rng(0).random((9, 4), np.float32), np.arange(9) % 3, ("a", "b", "c"))
    found = deletion.compare({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)}, data)
    row = found.rows()[1]
    assert set(row) == {"model", "accuracy", "changed"}
    assert not math.isnan(row["accuracy"])
    with pytest.raises(ValueError, match="two classes to draw a ROC"):
        found.plot_roc()


def test_what_cannot_be_compared_is_told() -> None:
    data = examples()
    with pytest.raises(ValueError, match="models: expected at least one"):
        deletion.compare({}, data)
    with pytest.raises(ValueError, match="expected scores of the same 24 examples, got shapes"):
        deletion.compare({"a": model(), "b": np.zeros(3, np.float32)}, data)
