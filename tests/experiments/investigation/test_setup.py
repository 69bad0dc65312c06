"""What the user chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocensus.experiments.investigation import PARTS, Setup
from neurocensus.experiments.investigation.setup import variants
from neurocensus.scratch import Network
from neurocensus.sweeps import Baseline

from .samples import pair, setup


def test_names_and_scale() -> None:
    chosen = Setup(pair("cat", seed=1), pair("dog", seed=2))
    assert chosen.names == ("cat", "dog", "cat to dog")
    assert (chosen.updates, chosen.seed) == (2500, 1)
    assert Setup(pair("cat", seed=1), pair("dog", seed=2), scale=0.1).updates == 250
    assert setup(iterations=7).updates == 7
    assert all(chosen.wants(part) for part in PARTS)
    assert [part for part in PARTS if setup(only=("freezing",)).wants(part)] == ["freezing"]
    assert chosen.baseline("cat", 75).build().widths == (75, 20, 7, 5, 1)
    assert dict(chosen.facts())["source"] == (
        "cat: 24 training images (12 cat), 14 test images (7 cat), 5 x 5 pixels"
    )


def test_variants_are_the_subsets_of_the_new_layers_with_the_source_and_without() -> None:
    source = Network.create((6, 5, 4, 1))
    found = variants(Baseline("x", 6, hidden=(3, 2), source=source))
    assert found == {
        "nothing": frozenset(),
        "new 1": {"hidden3"},
        "new 2": {"hidden4"},
        "new 1, new 2": {"hidden3", "hidden4"},
        "source": {"hidden1", "hidden2"},
        "source, new 1": {"hidden1", "hidden2", "hidden3"},
        "source, new 2": {"hidden1", "hidden2", "hidden4"},
        "source, new 1, new 2": {"hidden1", "hidden2", "hidden3", "hidden4"},
    }
    assert next(iter(found)) == "nothing"


@pytest.mark.parametrize("name", ["{", "cat{0}", "}{", "$x$"])
def test_names_with_braces_are_names(name: str) -> None:
    assert dict(setup(source=pair(name, seed=1)).facts())["source"].startswith(f"{name}: 24 training images")


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"scale": 0}, ValueError, "scale: expected a share above 0 and at most 1, got 0"),
        ({"scale": 1.1}, ValueError, "scale: .* 1 is 50 values a sweep and 2500 iterations"),
        (
            {"only": ("sweeps", "plots")},
            ValueError,
            "only: no part 'plots'; there are sweeps, freezing, froz",
        ),
        ({"only": ()}, ValueError, "only: no part ''"),
        ({"iterations": 0}, ValueError, "iterations: expected at least 1"),
        ({"seed": -1}, ValueError, "seed: expected at least 0"),
        ({"threads": 0}, ValueError, "threads: expected at least 1"),
        ({"seed": 1.5}, TypeError, "seed: expected an integer"),
        ({"target": pair("dog", seed=2, size=6)}, ValueError, r"target: .* the source's size, \(5, 5, 3\)"),
        (
            {"target": pair("cat", seed=2)},
            ValueError,
            "target: expected a class whose .* 'cat' and 'cat'; rename",
        ),
        (
            {"target": pair("CAT", seed=2)},
            ValueError,
            "target: expected a class whose .* 'CAT' and 'cat'; rename",
        ),
        ({"target": pair("d" * 120, seed=2)}, ValueError, "classes of 50 letters at most"),
    ],
)
def test_bad_input(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    options: dict[str, Any] = {"source": pair("cat", seed=1), "target": pair("dog", seed=2)}
    with pytest.raises(kind, match=message):
        Setup(**{**options, **change})


def test_the_problems_are_the_pixels() -> None:
    problems = setup().problems()
    assert list(problems) == ["cat", "dog", "cat to dog"]
    chosen = setup()
    np.testing.assert_array_equal(problems["dog"].train.x[3], chosen.target.train.inputs[3].ravel() / 255)
    np.testing.assert_array_equal(problems["cat"].test.y, chosen.source.test.labels)
    assert problems["cat to dog"].inputs == 75
