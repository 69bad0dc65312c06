"""In process groups the rows are those of all processes, and one of them writes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurocensus as nc
from neurocensus.callbacks import read_monitor
from neurocensus.callbacks.statistics import row_of

from ..distributed.worlds import World
from . import groups
from .samples import batches, kill, network


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(2) as made:
        made.run(groups.like_torchrun, made.store.port)
        yield made


def test_rows_are_those_of_one_process(world: World, tmp_path: Path) -> None:
    first, second = world.results(groups.plain, tmp_path)
    rows = read_monitor(tmp_path)
    assert [(one["mode"], one["step"]) for one in rows] == [("eval", 3), ("train", 4), ("train", 6)]
    model, data = network(), batches(12)
    kill(model[0])
    for one, counted in (
        (rows[0], data[:1]),
        (rows[1], [data[index] for index in (0, 1, 4, 5)]),
        (rows[2], [data[index] for index in (8, 9)]),
    ):
        single = row_of(nc.audit(model, counted), "train", 0, 0)
        for name, layer in single["layers"].items():
            assert one["layers"][name] == pytest.approx(layer, rel=1e-12, nan_ok=True)
        assert (one["examples"], one["dead"]) == (single["examples"], 16)
    assert [sum("100 % of 16 units dead" in line for line in first), second] == [2, []]
    assert (tmp_path / "activations.png").exists()


def test_a_rank_that_fails_does_not_wait(world: World, tmp_path: Path) -> None:
    assert world.results(groups.an_error_on_one_rank, tmp_path) == ["", "mine"]


def test_a_row_that_cannot_be_written_is_an_error_of_all_and_goes_into_the_next(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first, second = world.results(groups.a_full_disk, folder)
    assert first == second
    (error,) = first
    assert error.startswith("3 FileNotFoundError [Errno 2] No such file or directory; no row was added, what")
    assert error.endswith(f"{str(folder / 'activations.jsonl')!r}")
    rows = read_monitor(folder)
    assert [(one["first_step"], one["step"], one["batches"]) for one in rows] == [(0, 8, 8), (8, 12, 4)]
    data = batches(24)
    counted = [data[2 * step + rank] for step in (0, 2, 4, 6) for rank in range(2)]
    single = row_of(nc.audit(network(), counted), "train", 0, 8)
    for name, layer in single["layers"].items():
        assert rows[0]["layers"][name] == pytest.approx(layer, rel=1e-12, nan_ok=True)


def test_a_folder_in_use_is_an_error_of_all(world: World, tmp_path: Path) -> None:
    first, second = world.results(groups.a_folder_in_use, tmp_path)
    assert first.startswith(f"folder: expected no other Monitor at work there, got one in {tmp_path}; end it")
    assert second == f"rank 0 failed: RuntimeError: {first}"


def test_a_warning_that_is_an_error_is_one_of_all(world: World, tmp_path: Path) -> None:
    first, second = world.results(groups.a_warning_is_an_error, tmp_path)
    assert first == second
    assert first.startswith("4 layers with more than 90 % of their units dead")


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="needs lightning")
def test_lightning(world: World, tmp_path: Path) -> None:
    assert world.results(groups.lightning, tmp_path) == [2, 2]
    rows = read_monitor(tmp_path)
    assert [(one["mode"], one["step"], one["examples"]) for one in rows] == [
        ("train", 4, 16), ("train", 8, 16), ("eval", 8, 24),
    ]  # fmt: skip


@pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="needs transformers and accelerate"
)
def test_transformers(world: World, tmp_path: Path) -> None:
    assert world.results(groups.transformers, tmp_path) == [2, 2]
    rows = read_monitor(tmp_path)
    # Of the 6 texts to evaluate on, accelerate gives two again to fill the last batch.
    assert [(one["mode"], one["step"], one["examples"]) for one in rows] == [
        ("train", 4, 8), ("eval", 4, 8), ("train", 8, 8), ("eval", 8, 8),
    ]  # fmt: skip
