"""docs/shards.md is true: its Python and its commands run; Ray gives the audit of a single process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import neurocensus as nc
from neurocensus.cli import app

from .parity.budget import assert_same

DOCS = (Path(__file__).parents[1] / "docs" / "shards.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ neurocensus (.*)$", DOCS, re.MULTILINE)
MODEL = """
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
RAY = [code for code in PYTHON if "import ray" in code]


def assert_the_same(found: nc.Audit, wanted: nc.Audit) -> None:
    assert (found.examples, found.batches) == (1000, 4 * 4)
    assert list(found.layers) == list(wanted.layers)
    for name, layer in wanted.layers.items():
        assert_same(found.layers[name].state, layer.state)


def single() -> tuple[dict[str, Any], nc.Audit]:
    """The names of the first example, and the audit of the same batches by one process."""
    names: dict[str, Any] = {}
    exec(PYTHON[0], names)
    batches = [batch for part in names["x"].split(250) for batch in part.split(64)]
    return names, nc.audit(names["build"](), batches, progress=False)


def test_the_python_runs() -> None:
    assert len(PYTHON) == 4
    assert len(RAY) == 1
    names, wanted = single()
    for code in PYTHON[1:3]:
        exec(code, names)
    for found in (names["whole"], names["again"], nc.Audit.from_bytes(names["content"])):
        assert_the_same(found, wanted)
        assert len(found.parts) == 4


def test_the_commands_work_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    random = np.random.default_rng(0)
    Path("model.py").write_text(MODEL)
    for index in range(5):
        path = Path("part1" if index < 3 else "part2", f"{index}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (9, 8, 3), np.uint8)).save(path)
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, result.output
    sys.modules.pop("model", None)
    assert nc.load("whole.safetensors").examples == 5


@pytest.fixture
def short_folder() -> Iterator[str]:
    """Of a short path: Ray's sockets live there, and the names of sockets have 107 characters at most."""
    folder = tempfile.mkdtemp(prefix="ray")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_ray_gives_the_audit_of_a_single_process(tmp_path: Path, short_folder: str) -> None:
    """In a process of its own, which is what the page describes; all that it starts ends with it."""
    pytest.importorskip("ray.data")
    end = 'whole.save("ray.safetensors")\n'
    # A small store of objects: the default is a third of the machine's memory.
    code = RAY[0].replace("include_dashboard=False", "include_dashboard=False, object_store_memory=10**8")
    (tmp_path / "example.py").write_text(PYTHON[0] + code + end)
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short_folder}
    process = subprocess.Popen(
        [sys.executable, "example.py"], cwd=tmp_path, env={**os.environ, **quiet, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=150)
    finally:
        with_children(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    found = nc.load(tmp_path / "ray.safetensors")
    assert_the_same(found, single()[1])
    assert len(found.parts) == 4


def with_children(session: int, what: signal.Signals) -> None:
    """Signal all processes of a session: those that Ray may have left."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(folder.name)
            if os.getsid(pid) == session:
                os.kill(pid, what)
        except (ProcessLookupError, PermissionError):
            continue
