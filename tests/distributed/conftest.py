"""Worlds that tests share: those that break nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .worlds import World


@pytest.fixture(scope="package")
def two() -> Iterator[World]:
    with World(2) as world:
        yield world


@pytest.fixture(scope="package")
def four() -> Iterator[World]:
    with World(4) as world:
        yield world
