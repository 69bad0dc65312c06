from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from neurocensus import array_files
from neurocensus.explain import Responses

from .test_result import assert_same, of, some


@given(some())
def test_a_round_trip_keeps_every_bit(tmp_path_factory: Any, responses: Responses) -> None:
    path = tmp_path_factory.getbasetemp() / "responses.safetensors"
    responses.save(path)
    assert_same(Responses.load(path), responses)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"x\.safetensors: expected a file"):
        Responses.load(tmp_path / "x.safetensors")


def test_a_folder_without_records(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected files step-\*\.safetensors"):
        Responses.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_part_of_a_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "r.safetensors"
    of([[[0, 1]]]).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ValueError, match=r"r\.safetensors: expected a whole file of format 'neurocensus.responses'"
    ):
        Responses.load(path)


@pytest.mark.parametrize(
    ("arrays", "body", "message"),
    [
        ({"0.silent": None}, {}, "expected the entry '0.silent' of responses, found none"),
        ({}, {"model": None}, "expected the entry 'model' of responses, found none"),
        ({"steps": np.array([3, 1])}, {}, "impossible content: steps: .* each above the one before"),
        ({"0.values": np.zeros((2, 1, 2))}, {}, "impossible content: .*expected float32, got float64"),
        ({}, {"reduce": "sum"}, "impossible content: reduce: expected 'max' or 'mean', got 'sum'"),
    ],
)
def test_files_that_no_recorder_wrote(
    tmp_path: Path, arrays: dict[str, Any], body: dict[str, Any], message: str
) -> None:
    path = tmp_path / "r.safetensors"
    of([[[0, 1]], [[1, 0]]]).save(path)
    content, noted = array_files.read(path, "neurocensus.responses")
    changed = [
        {name: value for name, value in {**old, **new}.items() if value is not None}
        for old, new in ((content, arrays), (noted, body))
    ]
    array_files.write(path, "neurocensus.responses", *changed)
    with pytest.raises(ValueError, match=message):
        Responses.load(path)
