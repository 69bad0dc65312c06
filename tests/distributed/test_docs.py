"""docs/distributed.md is true: its Python runs on two real processes, its figures are those of the code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import TensorDataset

import neurocensus as nc
from neurocensus.distributed import gathering, meeting

from ..parity.budget import assert_same
from .worlds import World

DOC = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")
EXAMPLES = 13  # odd, so that a sampler repeats one


def build() -> nn.Module:
    """With weights and inputs of few bits, so that sums are exact in any order."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 8).round() / 8)
    return model


def inputs() -> torch.Tensor:
    return (torch.randn(EXAMPLES, 5, generator=torch.Generator().manual_seed(1)) * 8).round() / 8


def blocks_run(folder: str) -> list[Any]:
    """All blocks from top to bottom; the audit that each leaves."""
    os.chdir(folder)
    images = inputs()
    names: dict[str, Any] = {
        "torch": torch, "build": build, "network": build(), "images": images,
        "dataset": TensorDataset(images, torch.arange(EXAMPLES) % 2),
    }  # fmt: skip
    audits = []
    for block in re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL):
        exec(block, names)
        audits.append(names["audit"])
    return audits


def test_the_python_runs(two: World, tmp_path: Path) -> None:
    first, second = two.results(blocks_run, str(tmp_path))
    assert len(first) == 5
    whole = nc.audit(build(), [inputs()])
    training, by_parts, by_sampler, in_loop, again = first
    assert [audit.examples for audit in first] == [7 * 2, *[EXAMPLES] * 3, 2 * EXAMPLES]
    assert nc.load(tmp_path / "training.safetensors").examples == training.examples
    for name, layer in whole.layers.items():
        for audit in (by_parts, by_sampler):
            assert_same(audit.layers[name].state, layer.state)
        assert in_loop.layers[name].state.examples == EXAMPLES
        assert (in_loop.layers[name].state.argmax == layer.state.argmax).all()
        assert (in_loop.layers[name].state.nonzero == layer.state.nonzero).all()
        assert again.layers[name].state.examples == 2 * EXAMPLES
        for mine, other in zip(first, second, strict=True):
            assert (mine.layers[name].state._words == other.layers[name].state._words).all()


def test_one_process_without_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not dist.is_initialized()
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    names: dict[str, Any] = {"nc": nc, "network": build(), "images": inputs()}
    (block,) = (
        text for text in re.findall(r"^```python\n(.*?)^```", DOC, re.M | re.S) if "launched()" in text
    )
    exec(block, names)
    assert names["audit"].examples == EXAMPLES


def test_figures() -> None:
    assert f"`timeout` seconds ({gathering.TIMEOUT:g})" in DOC
    assert "17 collectives in all" in DOC  # test_gathering counts 15, and two are before them
    assert f"within {meeting.GRACE:g} s" in DOC
    assert meeting.GRACE < gathering.TIMEOUT
