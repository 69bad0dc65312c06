"""Shared fixtures: real images and weights, hypothesis profiles, backends, tests that need a CUDA device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest

from .backends import BACKENDS, Backend, backend_name

hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

DATA = Path(os.environ.get("NEUROCENSUS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared_data(name: str) -> Path:
    """Path of a file of real data; skips the test where it is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not here: {name} (set NEUROCENSUS_DATA to its folder)")
    return path


@pytest.fixture(params=BACKENDS, ids=backend_name, scope="module")
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each of the ways to count, in turn."""
    chosen: Backend = request.param
    with chosen.active():
        yield chosen


@cache
def no_cuda() -> str:
    """Why there is no CUDA device to test on; empty if there is one."""
    import torch

    from neurocensus.native import cuda

    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        count, reason = cuda.device_count()
    except ImportError as error:
        return str(error)
    return "" if count else reason


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and (missing := no_cuda()):
        if os.environ.get("NEUROCENSUS_REQUIRE_CUDA") == "1":
            pytest.fail(f"NEUROCENSUS_REQUIRE_CUDA is 1, but {missing}", pytrace=False)
        pytest.skip(f"needs a CUDA device: {missing}")


def pytest_report_header() -> str:
    return f"CUDA device: {no_cuda() or 'there'}"
