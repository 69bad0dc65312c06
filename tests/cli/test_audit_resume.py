"""``neurocensus audit --checkpoint-every N --resume``: what it says, leaves and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import neurocensus
from neurocensus.explain import TopExamples

from .conftest import MODEL

if TYPE_CHECKING:
    from .conftest import Run

NET = "a net.py:Half"
WORDS = ["--data", "x.npz", "--batch-size", 2, "--out", "out"]
KEPT = ["--checkpoint-every", 3, "--resume"]
STOPS = """
from pathlib import Path

class Stops(Half):
    calls = 0
    def forward(self, x):
        self.calls += 1
        if Path("stop").exists() and self.calls > int(Path("stop").read_text()):
            raise ZeroDivisionError("half-way")
        return super().forward(x)
"""


@pytest.fixture
def stopping(here: Path) -> str:
    """A model that fails after so many batches as the file "stop" says."""
    (here / "stops.py").write_text(MODEL + STOPS)
    return "stops.py:Stops"


def interrupt(run: Run, here: Path, model: str, after: int, *words: object) -> None:
    (here / "stop").write_text(str(after))
    result = run("audit", model, *words, *KEPT)
    assert (result.exit_code, "half-way" in result.stderr) == (2, True), result.output
    (here / "stop").unlink()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_interrupted_resumed_and_finished(run: Run, here: Path, stopping: str) -> None:
    words = [*WORDS, "--top", 2, "--threshold", "0.01"]
    plain = run("audit", stopping, *words[:-4], "--top", 2, "--threshold", "0.01", "--out", "plain")
    assert plain.exit_code == 0
    interrupt(run, here, stopping, 3, *words)
    assert names(here / "out") == {"audit-checkpoint.safetensors"}
    found = run("audit", stopping, *words, *KEPT)
    assert (found.exit_code, found.stdout) == (0, plain.stdout)
    assert "note: goes on after 4 examples" in found.stderr
    assert names(here / "out") == {*names(here / "plain"), "audit-finished.json"}
    for name in ("audit.safetensors", "top/top.safetensors", "report.html"):
        assert (here / "out" / name).read_bytes() == (here / "plain" / name).read_bytes()
    left = {path.name: path.read_bytes() for path in (here / "out").iterdir() if path.is_file()}

    (here / "stop").write_text("0")  # no forward runs any more
    again = run("audit", stopping, *words, *KEPT)
    assert (again.exit_code, again.stdout) == (0, plain.stdout)
    assert "note: finished before: out/audit.safetensors" in again.stderr
    assert {path.name: path.read_bytes() for path in (here / "out").iterdir() if path.is_file()} == left
    assert run("audit", stopping, *words, *KEPT, "--fail-over-nnu", "0").exit_code == 1


def test_without_a_checkpoint_it_begins_at_the_start(run: Run, here: Path) -> None:
    result = run("audit", NET, *WORDS, *KEPT)
    assert (result.exit_code, "note: no checkpoint: begins at the start" in result.stderr) == (0, True)
    assert "audit-checkpoint.safetensors" not in names(here / "out")
    alone = run("audit", NET, *WORDS[:-1], "other", "--resume")
    assert (alone.exit_code, "begins at the start" in alone.stderr) == (0, True)
    left = [(here / folder / "audit.safetensors").read_bytes() for folder in ("out", "other")]
    assert left[0] == left[1]


def test_a_checkpoint_is_neither_overwritten_nor_passed_over(run: Run, here: Path, stopping: str) -> None:
    interrupt(run, here, stopping, 3, *WORDS)
    for words in ([], ["--checkpoint-every", 3]):
        refused = run("audit", stopping, *WORDS, *words)
        assert refused.exit_code == 2
        assert "holds the checkpoint of an audit that was not finished" in refused.stderr
        assert names(here / "out") == {"audit-checkpoint.safetensors"}
    (here / "out" / "audit-checkpoint.safetensors").unlink()
    assert run("audit", stopping, *WORDS).exit_code == 0
    assert "audit-finished.json" not in names(here / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", 3], "data, batch size: 2 there, 3 here"),
        (["--layers", "act"], "layers: activations there, ['act'] here"),
        (["--max-examples", 9], "max examples: none there, 9 here"),
        (["--top", 2], "top: none there, 2 here"),
        (["--raw"], "data, raw: False there, True here"),
    ],
)
def test_other_settings_are_refused(
    run: Run, here: Path, stopping: str, words: list[object], message: str
) -> None:
    interrupt(run, here, stopping, 3, *WORDS)
    assert message in run("audit", stopping, *WORDS, *KEPT, *words).stderr
    done = run("audit", stopping, *WORDS, *KEPT)
    assert done.exit_code == 0, done.output
    finished = run("audit", stopping, *WORDS, *KEPT, *words)  # and of what is finished
    assert (finished.exit_code, message in finished.stderr) == (2, True)
    assert "audit-finished.json is of another audit" in finished.stderr


def test_other_data_are_refused(run: Run, here: Path, stopping: str) -> None:
    interrupt(run, here, stopping, 3, *WORDS)
    np.savez(here / "x.npz", x=np.ones((10, 3), np.float32))
    refused = run("audit", stopping, *WORDS, *KEPT)
    assert (refused.exit_code, "data, x: float32 (10, 3) of SHA-256" in refused.stderr) == (2, True)
    assert "data, y: int64 (10,)" in refused.stderr


def test_a_damaged_checkpoint(run: Run, here: Path, stopping: str) -> None:
    interrupt(run, here, stopping, 3, *WORDS)
    path = here / "out" / "audit-checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    refused = run("audit", stopping, *WORDS, *KEPT)
    assert (refused.exit_code, "delete it to begin anew" in refused.stderr) == (2, True)


def test_what_a_kill_left_half_written_goes(run: Run, here: Path) -> None:
    (here / "out").mkdir()
    names_left = [".0123456789abcdef.tmp", ".fedcba9876543210.tmp", "mine.tmp", ".mine.tmp"]
    for name in names_left:
        (here / "out" / name).touch()
        if name != names_left[1]:  # which is being written
            os.utime(here / "out" / name, (0, 0))
    assert run("audit", NET, *WORDS, *KEPT).exit_code == 0
    assert names(here / "out").intersection(names_left) == set(names_left[1:])


@pytest.mark.parametrize("change", ["audit.safetensors", "audit-finished.json"])
def test_what_is_not_known_to_be_finished_begins_anew(run: Run, here: Path, change: str) -> None:
    assert run("audit", NET, *WORDS, *KEPT).exit_code == 0
    wanted = (here / "out" / "audit.safetensors").read_bytes()
    (here / "out" / change).write_bytes(b"[]")
    result = run("audit", NET, *WORDS, *KEPT)
    assert (result.exit_code, "begins at the start" in result.stderr) == (0, True)
    assert (here / "out" / "audit.safetensors").read_bytes() == wanted


def test_a_plain_audit_replaces_a_finished_one(run: Run, here: Path) -> None:
    assert run("audit", NET, *WORDS, *KEPT).exit_code == 0
    assert run("audit", NET, *WORDS, "--threshold", 1).exit_code == 0
    assert "audit-finished.json" not in names(here / "out")


def test_unreadable_images_are_remembered(run: Run, here: Path, stopping: str) -> None:
    for index in range(8):
        path = here / "images" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"bad") if index in (1, 2, 3, 6) else Image.new("RGB", (4, 4)).save(path)
    (here / "conv.py").write_text(
        "import os, torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); torch.manual_seed(0); self.a, self.calls = "
        "nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()), 0\n"
        "    def forward(self, x):\n        self.calls += 1\n"
        "        if os.path.exists('stop') and self.calls > 2: raise ZeroDivisionError('half-way')\n"
        "        return self.a(x)\n"
    )
    words = ["--data", "images", "--batch-size", 2, "--skip-unreadable", "--top", 1]
    assert run("audit", "conv.py:Net", *words, "--out", "plain").exit_code == 0
    interrupt(run, here, "conv.py:Net", 2, *words, "--out", "out", "--checkpoint-every", 1)
    found = run("audit", "conv.py:Net", *words, "--out", "out", *KEPT)
    assert found.exit_code == 0, found.output
    assert [line for line in found.stderr.splitlines() if "skipped" in line] == [
        *(f"note: skipped images/{index}.png: " + found.stderr.split(f"{index}.png: ")[1].split("\n")[0]
          for index in (1, 2, 3, 6)),
        "note: skipped 4 unreadable images in all",
    ]  # fmt: skip
    for name in ("audit.safetensors", "top/top.safetensors"):
        assert (here / "out" / name).read_bytes() == (here / "plain" / name).read_bytes()
    assert TopExamples.load("out/top/top.safetensors").examples == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume"], "--resume: expected --out too"),
        (["--checkpoint-every", "5"], "--checkpoint-every: expected --out too"),
        (["--checkpoint-every", "0", "--out", "out"], "--checkpoint-every"),
    ],
)
def test_errors_come_before_the_work(run: Run, here: Path, words: list[str], message: str) -> None:
    result = run("audit", "a net.py:raises", "--data", "x.npz", *words)
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert not (here / "out").exists()


def test_a_real_process_killed_and_started_again(here: Path) -> None:
    (here / "slow.py").write_text(
        "import time, torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self): super().__init__(); torch.manual_seed(0); self.a = nn.Linear(3, 4)\n"
        "    def forward(self, x): time.sleep(0.03); return self.a(x).relu()\n"
    )
    np.savez(here / "x.npz", x=np.random.default_rng(0).random((80, 3), np.float32))
    environment = {**os.environ, "PYTHONPATH": str(Path(neurocensus.__file__).parents[1])}
    words = [sys.executable, "-m", "neurocensus", "audit", "slow.py:Net", *map(str, WORDS)]
    checkpoint = here / "out" / "audit-checkpoint.safetensors"
    with subprocess.Popen(
        [*words, *map(str, KEPT)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as job:
        try:
            deadline = time.monotonic() + 60
            while not checkpoint.exists() and time.monotonic() < deadline and job.poll() is None:
                time.sleep(0.01)
            time.sleep(0.2)
        finally:
            job.send_signal(signal.SIGKILL)
    assert (job.returncode, names(here / "out") - {"audit-checkpoint.safetensors"}) == (
        -signal.SIGKILL,
        set(),
    )
    for extra in (KEPT, ["--out", "plain"]):
        done = subprocess.run(
            [*words, *map(str, extra), "--json"],
            env=environment,
            capture_output=True,
            check=True,
            timeout=120,
        )
        assert json.loads(done.stdout)["examples"] == 80
    assert b"goes on after" not in done.stderr
    wanted = (here / "plain" / "audit.safetensors").read_bytes()
    assert (here / "out" / "audit.safetensors").read_bytes() == wanted
