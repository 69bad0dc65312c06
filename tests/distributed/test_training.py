"""Models that are trained on several processes: what `Auditor` sees there is what one process sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from neurocensus import Auditor, storage
from neurocensus.distributed import gather, once
from neurocensus.result import Audit

from ..parity.budget import assert_same
from .test_gathering import loaded
from .worlds import World

STEPS, BATCH = 3, 4  # batch of one process; two share it


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]


def net() -> Net:
    """With weights of few bits: before training, its sums are exact in any order."""
    torch.manual_seed(0)
    model = Net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 8).round() / 8)
    return model


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(STEPS * BATCH, 6, generator=generator)
    return (inputs * 8).round() / 8, torch.arange(STEPS * BATCH) % 3


def skip_without(how: str) -> None:
    if how == "fsdp" and not hasattr(pytest.importorskip("torch.distributed.fsdp"), "fully_shard"):
        pytest.skip("this torch has no fully_shard")


def wrapped(how: str, model: nn.Module) -> nn.Module:
    if how == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    if how == "fsdp":
        from torch.distributed.fsdp import fully_shard

        mesh = dist.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
        fully_shard(model.body, mesh=mesh)  # type: ignore[arg-type]
        fully_shard(model, mesh=mesh)
    if how == "parallel":
        return nn.DataParallel(model)
    return model


def trained(how: str, rank: int = 0, size: int = 1) -> Audit:
    """What this rank counted while the model was trained on its share of each batch; everywhere the mean."""
    model = wrapped(how, net())
    inputs, labels = examples()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with Auditor(model, histogram=True) as auditor:
        for step in range(STEPS):
            mine = range(step * BATCH + rank, (step + 1) * BATCH, size)
            F.cross_entropy(model(inputs[mine]), labels[mine]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return auditor.compute()


def on_ranks(how: str) -> bytes:
    return storage.dump(gather(trained(how, dist.get_rank(), dist.get_world_size()), order="interleaved"))


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_training_on_two_ranks_is_training_on_one(two: World, how: str, tmp_path: Any) -> None:
    """Names too; float32 rounds differently where gradients are averaged, so values are close, not equal."""
    skip_without(how)
    first, second = two.results(on_ranks, how)
    assert first == second
    found, single = loaded(first, tmp_path / "whole.safetensors"), trained("alone")
    assert list(found.layers) == list(single.layers) == ["body.1", "body.3", "head"]
    assert found.model == single.model == "Net"  # not FSDPNet
    assert found.examples == single.examples == STEPS * BATCH
    for name, layer in single.layers.items():
        other = found.layers[name]
        assert (other.kind, other.dtype, other.training) == (layer.kind, layer.dtype, layer.training)
        assert other.calls == 2 * layer.calls  # two forwards, each of half a batch
        for field in ("examples", "values", "next_example"):
            assert getattr(other.state, field) == getattr(layer.state, field)
        for field in ("nonzero", "active_examples", "argmax"):  # no value is near 0, no two maxima are near
            np.testing.assert_array_equal(getattr(other.state, field), getattr(layer.state, field), field)
        for field in ("max", "min", "mean", "m2", "mean_abs"):
            np.testing.assert_allclose(
                getattr(other.state, field), getattr(layer.state, field), rtol=1e-5, atol=1e-6, err_msg=field
            )


def evaluated(how: str, padded: bool) -> bytes:
    """Five examples on two ranks; the sampler gives the second rank one that the first had."""
    model = wrapped(how, net()).eval()
    data = TensorDataset(examples()[0][:5])
    loader = DataLoader(data, 2, sampler=DistributedSampler(data, shuffle=False))
    with Auditor(model, histogram=True) as auditor, torch.no_grad():
        for (batch,), keep in once(loader):
            auditor.mask = None if padded else keep
            model(batch)
    return storage.dump(gather(auditor.compute(), order="interleaved"))


@pytest.mark.parametrize("how", ["alone", "ddp", "fsdp"])
def test_repeated_examples_are_counted_once(two: World, how: str, tmp_path: Any) -> None:
    skip_without(how)
    model = net().eval()
    with Auditor(model, histogram=True) as auditor, torch.no_grad():
        model(examples()[0][:5])
    found = loaded(two.results(evaluated, how, False)[0], tmp_path / "whole.safetensors")
    for name, layer in auditor.compute().layers.items():
        state = found.layers[name].state
        assert state.examples == 5
        assert found.layers[name].masked
        # The repeated example still has a number, the sixth, of which nothing is counted.
        assert state.next_example == 6
        assert_same(_numbered_to(state, layer.state.next_example), layer.state)
    padded = loaded(two.results(evaluated, how, True)[0], tmp_path / "padded.safetensors")
    assert padded.layers["head"].state.examples == 6


def _numbered_to(state: Any, next_example: int) -> Any:
    return type(state).from_dict({**state.to_dict(), "next_example": next_example})


def test_data_parallel_without_devices_is_the_model_itself() -> None:
    """On a CPU; over several devices an Auditor refuses (tests/test_auditor.py)."""
    assert storage.dump(trained("parallel")) == storage.dump(trained("alone"))


def the_same_again() -> list[int]:
    """Windows with the very same numbers: of the same data, and no shards that came twice."""
    model, (inputs, _), counts = net().eval(), examples(), []
    with Auditor(model) as auditor, torch.no_grad():
        for _ in range(3):
            model(inputs)
            auditor.sync()
            counts.append(auditor.compute().examples)
    return counts


def test_windows_that_are_alike(two: World) -> None:
    assert two.results(the_same_again) == [[24, 48, 72]] * 2


def synced() -> tuple[bytes, bytes]:
    """`Auditor.sync` twice while it goes on; on a rank that sees nothing in the second round."""
    model, (inputs, _), rank = net().eval(), examples(), dist.get_rank()
    with Auditor(model, histogram=True) as auditor, torch.no_grad():
        model(inputs[rank * 2 : rank * 2 + 2])
        auditor.sync()
        first = storage.dump(auditor.compute())
        if rank == 1:
            model(inputs[4:])
        auditor.sync()
    return first, storage.dump(auditor.compute())


def test_an_auditor_is_synced_again_and_again(two: World, tmp_path: Any) -> None:
    (first, whole), other = two.results(synced)
    assert (first, whole) == other
    model, (inputs, _) = net().eval(), examples()
    for content, shown in ((first, inputs[:4]), (whole, inputs)):
        with Auditor(model, histogram=True) as auditor, torch.no_grad():
            model(shown)
        found = loaded(content, tmp_path / "whole.safetensors")
        for name, layer in auditor.compute().layers.items():
            assert_same(found.layers[name].state, layer.state)
