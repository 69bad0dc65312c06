"""Tests of the zoo need torchvision."""

from __future__ import annotations

import warnings

import pytest

from neurocensus._torchvision import import_torchvision


@pytest.fixture(autouse=True, scope="session")
def _torchvision() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its operators need not fit torch; none is used
        try:
            import_torchvision()
        except ModuleNotFoundError as error:
            pytest.skip(str(error))
