"""Rows and networks for the tests of the callbacks."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neurocensus._torchvision import import_torchvision
from neurocensus.callbacks import Monitor
from neurocensus.callbacks.statistics import scalars


def framework(name: str) -> Any:
    """A package with callbacks; skips where it is not installed. They import torchvision, if it is there."""
    with contextlib.suppress(ImportError):
        import_torchvision()
    return pytest.importorskip(name)


def row(
    step: int,
    shares: Mapping[str, float],
    *,
    mode: str = "train",
    first_step: int | None = None,
    units: int = 100,
    broken: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A row with these dead shares by layer, of `units` units each; `broken`: NaN values by layer."""
    layers = {
        name: {
            "units": units, "dead": round(share * units), "unseen": 0, "nnu": share, "zero_fraction": share,
            "max": 1.5, "mean": 0.25, "skewness": 0.5, "examples": 8, "inf": 0,
            "nan": (broken or {}).get(name, 0),
        }
        for name, share in shares.items()
    }  # fmt: skip
    dead = sum(layer["dead"] for layer in layers.values())
    return {
        "step": step, "first_step": step if first_step is None else first_step, "mode": mode, "model": "Net",
        "examples": 8, "batches": 1, "units": units * len(layers), "dead": dead, "unseen": 0,
        "nnu": dead / (units * len(layers)) if layers else float("nan"), "max": 1.5, "mean": 0.25,
        "skewness": 0.5, "consistency": 0.1, "never_fired": [], "layers": layers, "warnings": [],
    }  # fmt: skip


def network(hidden: int = 16) -> nn.Sequential:
    """Eight numbers in, two out; the ReLU is layer "1". Always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return _network(hidden)


def _network(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def batches(number: int, size: int = 4) -> list[torch.Tensor]:
    """Inputs for `network`, always the same."""
    generator = torch.Generator().manual_seed(7)
    return list(torch.randn(number, size, 8, generator=generator))


def kill(layer: nn.Linear) -> None:
    """Make everything behind this layer's ReLU dead."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(-1)


def fail(*_: object) -> None:
    """A hook, or anything else, that raises."""
    raise FloatingPointError("mine")


def train(monitor: Monitor, model: nn.Module, data: list[torch.Tensor]) -> None:
    """A step for each batch."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for x in data:
        model.train()
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step()


def scalars_in(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows of a folder: tag -> step -> value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def expected_scalars(rows: list[dict[str, Any]]) -> dict[str, dict[int, float]]:
    """What the rows say that there should be."""
    found: dict[str, dict[int, float]] = {}
    for one in rows:
        for tag, value in scalars(one).items():
            found.setdefault(tag, {})[one["step"]] = value
    return found


def history_in(path: Path) -> list[dict[str, Any]]:
    """The rows of an offline run of W&B: records of a LevelDB log, after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    block, content, place, parts, rows = 32768, path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if block - place % block < 7:
            place += block - place % block
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            if record.HasField("history"):
                items = record.history.item
                rows.append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
    return rows
