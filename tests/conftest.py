"""Shared fixtures: where the real images and weights are, hypothesis profiles, the report header."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

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
