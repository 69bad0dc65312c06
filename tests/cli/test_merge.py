"""``neurocensus merge``: what it refuses, and what it needs."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from typer.testing import Result

from neurocensus import Audit, UnitState, storage

from ..audit_samples import audit_of, layer_audit

if TYPE_CHECKING:
    from .conftest import Run

DAYS = ("mon.safetensors", "tue.safetensors", "wed.safetensors")


@pytest.fixture
def days(here: Path) -> Path:
    """The folder of three shards."""
    random = np.random.default_rng(0)
    for day in DAYS:
        audit_of({"act": random.normal(0, 1, (4, 6))}, annotations={"day": day}).save(day)
    return here


def refusal(run: Run, *audits: str) -> str:
    """The message; nothing is written."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result: Result = run("merge", *audits, "--out", "week.safetensors")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    return " ".join(result.stderr.split())


@pytest.mark.usefixtures("days")
def test_a_file_given_twice(run: Run) -> None:
    Path("link").symlink_to(DAYS[0])
    assert "got mon.safetensors again as mon.safetensors" in refusal(run, *DAYS, DAYS[0])
    assert "got mon.safetensors again as link" in refusal(run, *DAYS, "link")


@pytest.mark.usefixtures("days")
def test_a_copy_or_a_part_of_an_earlier_merge(run: Run) -> None:
    shutil.copy(DAYS[0], "copy")
    message = refusal(run, *DAYS, "copy")
    assert "the same one in mon.safetensors and in copy" in message
    assert "--allow-repeated" in message
    assert run("merge", *DAYS[:2], "--out", "two.safetensors").exit_code == 0
    assert "the same one in two.safetensors and in tue.safetensors" in refusal(
        run, "two.safetensors", DAYS[2], DAYS[1]
    )
    assert run("merge", "two.safetensors", DAYS[2], "--out", "three.safetensors").exit_code == 0
    assert len(storage.load("three.safetensors").parts) == 3
    assert run("merge", *DAYS, "copy", "--allow-repeated", "--out", "four.safetensors").exit_code == 0
    assert storage.load("four.safetensors").examples == 16


ODD = {
    "got 'Net' in mon.safetensors and 'Other' in odd": audit_of({"act": np.ones((2, 6))}, model="Other"),
    "got 0.0 in mon.safetensors and 0.5 in odd": audit_of({"act": np.ones((2, 6))}, threshold=0.5),
    "layer 'act': expected the same units in all audits, got 6 in mon.safetensors and 7 in odd": audit_of(
        {"act": np.ones((2, 7))}
    ),
    "same histogram in all audits, got False in mon.safetensors and True in odd": audit_of(
        {"act": np.ones((2, 6))}, histogram=True
    ),
}


@pytest.mark.parametrize("message", ODD)
@pytest.mark.usefixtures("days")
def test_what_was_counted_otherwise_is_named(run: Run, message: str) -> None:
    ODD[message].save("odd")
    assert message in refusal(run, *DAYS, "odd")


@pytest.mark.usefixtures("days")
def test_a_shard_of_another_format_is_named(run: Run) -> None:
    with safetensors.safe_open(DAYS[1], framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    body = json.loads(metadata["audit"])
    body["layers"][0]["state"]["format_version"] = 7
    for name, changed in (
        ("newer", {**metadata, "format_version": "7"}),
        ("state", {**metadata, "audit": json.dumps(body)}),
        ("other", {}),
    ):
        safetensors.numpy.save_file(tensors, name, changed)
    assert "newer: expected format_version up to 1, got 7" in refusal(run, DAYS[0], "newer")
    assert "state: layers.0: format_version: expected 1, got 7" in refusal(run, DAYS[0], "state")
    assert "other: expected a safetensors file of format" in refusal(run, DAYS[0], "other")


def test_out_is_checked_first(run: Run, days: Path) -> None:
    (days / "broken").write_bytes(b"no audit")
    result = run("merge", *DAYS, "broken", "--out", "no/such/week.safetensors")
    assert "--out: expected a file in a folder that exists, got no/such/week" in " ".join(
        result.stderr.split()
    )


def test_memory_for_two_shards_however_many_there_are(run: Run, here: Path) -> None:
    units = 100_000
    for index in range(6):
        state = UnitState(units).update(np.random.default_rng(index).random((2, units), np.float32))
        layer = layer_audit("act", state)
        Audit({"act": layer}, model="Net", examples=2, batches=1).save(f"{index}.safetensors")
    one = (here / "0.safetensors").stat().st_size
    tracemalloc.start()
    try:
        result = run("merge", *(f"{index}.safetensors" for index in range(6)), "--out", "all.safetensors")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.exit_code == 0, result.output
    assert storage.load("all.safetensors").examples == 12
    assert peak < 2.6 * one  # the whole, the shard that is read, and columns while they are checked
