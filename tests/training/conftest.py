"""What keeps these tests short."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from matplotlib.figure import Figure

from neurocensus.training import curves


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, as more are slower for networks this small; and no waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave ``training.png`` empty: drawing takes longer than training."""
    monkeypatch.setattr(curves, "plot_history", lambda histories: Figure((1, 1)))
