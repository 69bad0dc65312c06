"""Names are those of the user's model, whatever wraps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import audit

from .models import Apply, run


def test_names_are_those_of_the_users_model() -> None:
    """Pitfall 8."""
    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    x = torch.randn(2, 3)
    for wrapped in (
        nn.DataParallel(inner),
        torch.optim.swa_utils.AveragedModel(inner),
        nn.Sequential(inner[0], torch.compile(inner[1], backend="eager"), inner[2]),
    ):
        result = run(wrapped, x)
        assert list(result.layers) == ["1", "2.1"]
        assert result.never_fired == ()

    class CheckpointWrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self._checkpoint_wrapped_module = module

        def forward(self, x: Tensor) -> Any:
            return self._checkpoint_wrapped_module(x)

    model = nn.Sequential(inner[0], CheckpointWrapper(Apply(lambda s, x: F.relu(x))))
    assert list(run(model, x).layers) == ["1.relu"]
    assert list(run(model, x, layers="modules").layers) == ["0", "1"]


def test_names_inside_distributed_data_parallel(tmp_path: Path) -> None:
    """Pitfall 8."""
    if not torch.distributed.is_available() or torch.distributed.is_initialized():
        pytest.skip("needs torch.distributed of its own")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
        x = torch.randn(2, 3)
        result = run(model, x)
        assert list(result.layers) == list(audit(model, [x]).layers) == ["1"]
        assert (result.model, result.never_fired) == ("Sequential", ())
    finally:
        torch.distributed.destroy_process_group()


def test_a_module_registered_twice_has_its_first_name() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu)
    assert list(run(model, torch.randn(2, 3)).layers) == ["1", "1:2"]


def test_parametrized_layers_are_one_layer() -> None:
    linear = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.Sequential(linear, nn.ReLU(), torch.nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)))
    assert list(run(model, torch.randn(2, 3)).layers) == ["1", "2"]
    assert list(run(model, torch.randn(2, 3), layers="modules").layers) == ["0", "1", "2"]
