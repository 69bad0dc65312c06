"""One small investigation for all tests that only look at it."""

from __future__ import annotations

import pytest

from neurocensus.experiments.investigation import Investigation, run

from .samples import setup


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Investigation:
    return run(setup(), tmp_path_factory.mktemp("investigation"), progress=False)
