"""A trained network feeds a new one."""

from __future__ import annotations

import numpy as np
import pytest

from neurocensus.scratch import Network, adapt


def test_the_source_comes_first_without_its_output() -> None:
    source = Network.create((12, 6, 5, 1), seed=3)
    joined = adapt(source, (4, 3), seed=8)
    assert joined.widths == (12, 6, 5, 4, 3, 1)
    new = Network.create((5, 4, 3, 1), seed=8)
    x = np.random.default_rng(0).standard_normal((9, 12))
    features = source.activations(x)["hidden2"]
    np.testing.assert_allclose(joined.predict(x), new.predict(features), rtol=1e-12)
    joined.weights[0] += 1
    assert (source.weights[0] != joined.weights[0]).all()


def test_without_hidden_layers() -> None:
    source = Network.create((12, 6, 1))
    assert adapt(source, ()).widths == (12, 6, 1)
    with pytest.raises(
        ValueError, match=r"source: expected a network with a hidden layer, got Network\(12-1\)"
    ):
        adapt(Network.create((12, 1)), (3,))
    with pytest.raises(ValueError, match=r"widths: .* at least 1"):
        adapt(source, (3, 0))
