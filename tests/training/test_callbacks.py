"""Audits while training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import neurocensus as nc
from neurocensus.training import AuditEvery, Settings, fit

from .samples import net, pictures, same, weights

pytestmark = pytest.mark.usefixtures("no_picture")


def test_every_second_epoch_is_audited(tmp_path: Path) -> None:
    data = pictures(24)
    audits = tmp_path / "not" / "there" / "yet"
    callback = AuditEvery(2, data, folder=audits)
    model = net()
    history = fit(model, data, data, Settings(4, 1e-3), folder=tmp_path / "run", callbacks=[callback])
    assert ["nnu" in row for row in history.rows] == [False, True, False, True]
    assert sorted(path.name for path in audits.iterdir()) == [
        "epoch-0002.safetensors",
        "epoch-0004.safetensors",
    ]
    last = nc.load(audits / "epoch-0004.safetensors")
    batches = [data.batch(slice(None))]
    for found in (last, nc.audit(model, batches, progress=False)):
        row = history.rows[-1]
        assert (row["nnu"], row["dead"]) == (found.nnu, found.dead)
        assert row["skewness"] == pytest.approx(found.spectrum().skewness)
        assert row["consistency"] == pytest.approx(found.range().consistency)
    assert last.examples == 24
    assert last.annotations == {"epoch": 4}


def test_callbacks_do_not_change_the_training(tmp_path: Path) -> None:
    def draws(epoch: int, model: nn.Module) -> dict[str, float]:
        model.train()
        return {"drawn": float(torch.rand(()))}

    data = pictures(24)
    found = []
    for name, callbacks in (("with", [AuditEvery(1, data), draws]), ("without", [])):
        model = net()
        fit(model, data, data, Settings(2, 1e-3), folder=tmp_path / name, callbacks=callbacks)
        found.append(weights(model))
    assert same(*found)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1.0}, TypeError, "epochs: expected an integer, got float"),
        (
            {"examples": pictures(2).take([])},
            ValueError,
            "examples: expected at least one to audit on, got none",
        ),
    ],
)
def test_errors(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AuditEvery(**{"epochs": 1, "examples": pictures(2), **wrong})
