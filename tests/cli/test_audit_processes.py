"""``torchrun -m neurocensus audit``: the same files as from a single process, and one voice.

Processes of a real group run commands, one after another; torchrun itself starts some at the end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import neurocensus
from neurocensus import report, storage
from neurocensus.cli import app
from neurocensus.explain import TopExamples
from neurocensus.result import Audit

from ..audit_samples import assert_told_alike
from ..distributed.worlds import Gone, World
from ..parity.budget import assert_same
from ..resuming.killing import save_audit

NET = """
import os, signal
from pathlib import Path
import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset

def net():
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 2))

def examples():
    x = torch.randn(37, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return TensorDataset(x, (x.mean((1, 2, 3)) > 0).long())

def rank():
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0

def shuffled():
    # Another order in each process: that of the first one counts.
    return DataLoader(examples(), 5, shuffle=True, generator=torch.Generator().manual_seed(3 + rank()))

def sampled():
    return DataLoader(examples(), 5, sampler=DistributedSampler(examples(), shuffle=False))

def in_order():
    return DataLoader(examples(), 5)

def stream():
    return list(in_order())

class Endless(IterableDataset):
    def __iter__(self):
        yield from examples()

def iterable():
    return DataLoader(Endless(), 7)

def differing():
    return (torch.full((2, 3, 6, 6), float(rank())) for _ in range(4))

def empty():
    return []

def foreign():
    return DataLoader(examples(), 5, sampler=DistributedSampler(examples(), 3, 0))

def broken():
    if rank() == 1:
        raise LookupError("no such shard")
    return in_order()

class Fails(nn.Sequential):
    def forward(self, x):
        if rank() == 1 and not Path("well").exists():
            raise ZeroDivisionError("half-way")
        return super().forward(x)

def fails():
    return Fails(*net())

class Dies(nn.Sequential):
    left = {0: 1, 1: 1, 2: 1, 3: 0}
    def forward(self, x):
        if Path("deadly").exists():
            if self.left[rank()] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left[rank()] -= 1
        return super().forward(x)

def dies():
    return Dies(*net())
"""
TOP = "top/top.safetensors"
AUDIT = "audit.safetensors"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (37, 6, 6, 3), np.uint8)
    np.savez(folder / "x.npz", x=pixels, y=rng.integers(0, 2, 37))
    np.savez(folder / "few.npz", x=pixels[:3])
    for index in range(20):
        path = folder / "images" / "ab"[index % 2] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index in (1, 4):
            path.write_bytes(b"no image")
        else:
            Image.fromarray(pixels[index]).save(path)
    return folder


@pytest.fixture(scope="module")
def two() -> Iterator[World]:
    with World(2) as world:
        yield world


@pytest.fixture(scope="module")
def four() -> Iterator[World]:
    with World(4) as world:
        yield world


def call(folder: Path, *words: str) -> tuple[int, str, str]:
    """The command line here, without its plots: exit code, stdout, stderr."""
    before, save_all, here = list(sys.path), report.save_all, Path.cwd()
    os.chdir(folder)
    report.save_all = save_audit  # type: ignore[assignment]
    try:
        result = CliRunner().invoke(app, ["audit", *words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr
    finally:
        report.save_all, sys.path[:] = save_all, before
        sys.modules.pop("net", None)
        os.chdir(here)


def in_all(world: World, place: Path, *words: object) -> tuple[int, str, str]:
    """In each process of a world; what the first one said. The others say nothing."""
    answers = world.results(call, place, *map(str, words))
    assert len({code for code, _, _ in answers}) == 1, answers
    assert not any(said for _, *others in answers[1:] for said in others), answers
    return answers[0]


def refused(world: World, place: Path, *words: object) -> str:
    """What the one process says that finds something wrong first."""
    answers = world.results(call, place, *map(str, words))
    assert {code for code, _, _ in answers} == {2}, answers
    assert not any(printed for _, printed, _ in answers)
    (said,) = (said for _, _, said in answers if "error" in said)
    return str(said)


def alone(place: Path, *words: object) -> Path:
    """The folder that a single process leaves."""
    folder = place / f"alone {zlib.crc32(repr(words).encode())}"
    if not folder.exists():
        code, _, said = call(place, *map(str, words), "--out", str(folder))
        assert code == 0, said
    return folder


def assert_alike(ours: Path, wanted: Path, *, top: bool = True) -> None:
    """Audits are equal, their moments to rounding; the strongest examples are the same bits."""
    mine, its = storage.load(ours / AUDIT), storage.load(wanted / AUDIT)
    assert_equal(mine, its)
    assert not top or (ours / TOP).read_bytes() == (wanted / TOP).read_bytes()


def assert_equal(mine: Audit, its: Audit) -> None:
    assert_told_alike(mine, its, "versions", "annotations")
    for name, layer in its.layers.items():
        assert_same(mine.layers[name].state, layer.state)


CASES: dict[str, tuple[str, ...]] = {
    "arrays": ("x.npz", "--batch-size", "5", "--histogram"),
    "cut": ("x.npz", "--batch-size", "4", "--max-examples", "21"),
    "map": ("few.npz", "--batch-size", "1", "--layers", "modules"),
    "images": ("images", "--batch-size", "3", "--skip-unreadable"),
    "in order": ("net.py:in_order", "--max-examples", "33"),
    "shuffled": ("net.py:shuffled",),
    "stream": ("net.py:stream",),
    "iterable": ("net.py:iterable", "--max-examples", "30"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [2, 4])
def test_equal_to_a_single_process(
    two: World, four: World, place: Path, tmp_path: Path, case: str, size: int
) -> None:
    words = ["net.py:net", "--data", *CASES[case], "--top", "2"]
    wanted = alone(place, *words)
    code, printed, said = in_all({2: two, 4: four}[size], place, *words, "--out", tmp_path / "out")
    assert code == 0, said
    assert f"Audit of Sequential: {storage.load(wanted / AUDIT).examples} examples" in printed
    assert_alike(tmp_path / "out", wanted)
    if case == "images":
        assert said.count("note: skipped images/") == 2
        assert "note: skipped 2 unreadable images in all" in said


def test_a_process_without_an_example(four: World, place: Path, tmp_path: Path) -> None:
    words = ["net.py:net", "--data", "few.npz", "--batch-size", "2", "--top", "2"]
    assert in_all(four, place, *words, "--out", tmp_path / "out")[0] == 0
    assert_alike(tmp_path / "out", alone(place, *words))


@pytest.mark.parametrize("limit", [[], ["--max-examples", "14"]])
def test_a_sampler_of_the_users_own(four: World, place: Path, tmp_path: Path, limit: list[str]) -> None:
    """37 examples for 4 processes: it repeats three, which are counted once. Batches are not those of one
    process, so that the model may round otherwise."""
    words = ["net.py:net", "--top", "2", *limit]
    assert in_all(four, place, *words, "--data", "net.py:sampled", "--out", tmp_path / "out")[0] == 0
    wanted = alone(place, *words, "--data", "net.py:in_order")
    mine, its = storage.load(tmp_path / "out" / AUDIT), storage.load(wanted / AUDIT)
    assert (mine.examples, dict(mine.annotations)) == (its.examples, dict(its.annotations))
    assert mine.examples == (14 if limit else 37)
    for name, layer in its.layers.items():
        np.testing.assert_allclose(mine.layers[name].state.max, layer.state.max, rtol=1e-5)
        assert mine.layers[name].state.argmax.tolist() == layer.state.argmax.tolist()
        assert mine.layers[name].state.values == layer.state.values
    ours, others = TopExamples.load(tmp_path / "out" / TOP), TopExamples.load(wanted / TOP)
    for name, found in others.layers.items():
        np.testing.assert_array_equal(ours.layers[name].examples, found.examples)


def test_nnu_of_the_whole_sets_the_exit_code(two: World, place: Path) -> None:
    words = ["net.py:net", "--data", "x.npz", "--threshold", "1e9", "--json"]
    code, printed, said = in_all(two, place, *words, "--fail-over-nnu", "0.9")
    assert (code, json.loads(printed)["examples"]) == (1, 37)
    assert said.splitlines()[-1] == "failed: NNU 1 is over --fail-over-nnu 0.9"
    assert in_all(two, place, *words, "--fail-over-nnu", "1")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.py:net", "--data", "none.npz"], "no such file"),
        (["net.py:net", "--data", "net.py:broken"], "LookupError: no such shard"),
        (["net.py:net", "--data", "net.py:differing"], "expected the same batches in every process, got 4"),
        (["net.py:net", "--data", "net.py:empty"], "data: expected at least one example, got none"),
        (["net.py:net", "--data", "net.py:foreign"], "for process 1 of 2, got one for 0 of 3|process 0 of 2"),
        (["net.py:fails", "--data", "x.npz"], r"error \(process 1 of 2\): ZeroDivisionError: half-way"),
        (
            ["net.py:net", "--data", "images", "--max-examples", "5", "--skip-unreadable"],
            "--max-examples: with --skip-unreadable",
        ),
        (["net.py:net", "--data", "images"], "2 of 20 images cannot be read"),
    ],
)
def test_an_error_in_one_ends_all_and_is_said_once(
    two: World, place: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    assert re.search(message, refused(two, place, *words, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_each_process(two: World, place: Path, tmp_path: Path) -> None:
    words = ["net.py:net", "--data", "x.npz", "--batch-size", "5", "--top", "2", "--out", str(tmp_path)]
    kept = ["--checkpoint-every", "6", "--resume"]
    assert "half-way" in refused(two, place, "net.py:fails", *words[1:], *kept)
    # The first process has done its share.
    assert [path.name for path in tmp_path.iterdir()] == ["audit-checkpoint-0-of-2.safetensors"]
    assert "model: Fails there, Sequential here" in refused(two, place, *words, *kept)
    for other in (["--checkpoint-every", "6"], []):
        assert "go on with it by --resume" in refused(two, place, *words, *other)
    code, _, said = call(place, *words, *kept)
    assert (code, "checkpoints of as many processes as now (1)" in said) == (2, True)
    (tmp_path / "audit-checkpoint-0-of-2.safetensors").unlink()

    code, printed, said = in_all(two, place, *words, *kept)
    assert (code, "no checkpoint: begins at the start" in said) == (0, True)
    assert "audit-finished.json" in {path.name for path in tmp_path.iterdir()}
    again = in_all(two, place, *words, *kept)
    assert (again[0], again[1], "finished before" in again[2]) == (0, printed, True)
    assert_alike(tmp_path, alone(place, *words[:-2]))


def test_one_had_done_its_share_when_the_other_failed(two: World, place: Path, tmp_path: Path) -> None:
    words = ["net.py:fails", "--data", "net.py:stream", "--top", "2"]
    kept = ["--checkpoint-every", "3", "--resume", "--out", tmp_path / "out"]
    assert "half-way" in refused(two, place, *words, *kept)
    (place / "well").touch()
    try:
        code, _, said = in_all(two, place, *words, *kept)
        assert (code, "goes on after 20 examples" in said) == (0, True), said
        assert in_all(two, place, *words, "--out", tmp_path / "plain")[0] == 0
    finally:
        (place / "well").unlink()
    for name in (AUDIT, TOP):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


@pytest.mark.parametrize("case", ["arrays", "images", "shuffled", "stream", "sampled"])
def test_all_killed_and_started_again(four: World, place: Path, tmp_path: Path, case: str) -> None:
    """Each one goes on from where it was, and the whole is the same, bit for bit."""
    data = CASES.get(case, ("net.py:sampled",))
    words = ["net.py:dies", "--data", *data, "--top", "2", "--batch-size", "2"]
    kept = ["--checkpoint-every", "1", "--resume", "--out", str(tmp_path / "out")]
    (place / "deadly").touch()
    with World(4) as doomed:
        assert doomed.run(call, place, *words, *kept) == [Gone(-signal.SIGKILL)] * 4
    (place / "deadly").unlink()
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {f"audit-checkpoint-{rank}-of-4.safetensors" for rank in (0, 1, 2)}
    code, _, said = in_all(four, place, *words, *kept)
    assert code == 0, said
    assert re.search(r"goes on after [1-9]\d* examples", said)
    assert in_all(four, place, *words, "--out", tmp_path / "plain")[0] == 0
    for name in (AUDIT, TOP):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


# Started by torchrun.


def torchrun(place: Path, size: int, *words: object) -> Any:
    return subprocess.Popen(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size),
            "-m", "neurocensus", "audit", *map(str, words),
        ],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={
            **os.environ, "PYTHONPATH": str(Path(neurocensus.__file__).parents[1]), "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        },
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 4])
def test_torchrun_works_as_is(place: Path, tmp_path: Path, size: int) -> None:
    words = ["net.py:net", "--data", *CASES["arrays"], "--top", "2"]
    with torchrun(place, size, *words, "--out", tmp_path / "out", "--json") as job:
        printed, said = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert json.loads(printed)["examples"] == 37
    assert_alike(tmp_path / "out", alone(place, *words))
    left = {"audit.safetensors", "report.html", "spectrum.png", "range.png", "dead.png", "top"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == left


def test_torchrun_ends_with_the_error_of_one(place: Path) -> None:
    with torchrun(place, 2, "net.py:fails", "--data", "x.npz") as job:
        printed, said = job.communicate(timeout=120)
    assert (job.returncode != 0, printed) == (True, "")
    assert said.count("error (process 1 of 2): ZeroDivisionError: half-way") == 1


def test_torchrun_ends_with_the_death_of_one(place: Path) -> None:
    (place / "deadly").touch()
    try:
        with torchrun(place, 2, "net.py:dies", "--data", "x.npz", "--batch-size", 5) as job:
            printed, _ = job.communicate(timeout=120)
    finally:
        (place / "deadly").unlink()
    assert (job.returncode != 0, printed) == (True, "")
