"""The README is true: its Python runs, its commands work as printed."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import neurocensus as nc
from neurocensus.cli import app

from .audit_samples import audit_of, relu_arrays

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ neurocensus (.*)$", README, re.MULTILINE)

MODEL = """
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


class Net(nn.Module):
    """With the layer that the README looks into."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.relu3 = nn.Linear(3, 512), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (N, 512)."""
        out: torch.Tensor = self.relu3(self.dense(x))
        return out


def test_the_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    x = torch.randn(6, 3)
    model = Net().eval()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train_step(x: torch.Tensor, y: torch.Tensor) -> None:
        model.train()(x).sum().backward()
        optimizer.step()

    names = {
        "model": model,
        "train_step": train_step,
        "loader": [(x[:4], torch.zeros(4)), (x[4:], torch.zeros(2))],
        "chunks": [torch.ones(2, 512), np.ones((3, 512, 4), np.float32)],
        "other_state": nc.UnitState(units=512),
    }
    assert len(PYTHON) >= 3
    for block in PYTHON:
        exec(block, names)
    assert nc.load("run.safetensors").examples == 6
    assert {path.name for path in tmp_path.iterdir()} == {
        "spectrum.png", "run.html", "run.safetensors", "comparison.html"
    }  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with everything that the README's commands name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in ("package", "images", "dogs_vs_cats", "frozen", "tuned"):
        (tmp_path / folder).mkdir()
    for path in ("model.py", "package/module.py"):
        Path(path).write_text(MODEL)
    (tmp_path / "run").mkdir()
    names: dict[str, nn.Sequential] = {}
    exec(MODEL + "model = build()", names)
    save_file(names["model"].state_dict(), "model.safetensors")
    random = np.random.default_rng(0)
    for index in range(2):
        Image.fromarray(random.integers(0, 256, (9, 8, 3), np.uint8)).save(f"images/{index}.jpg")
    for index in range(40):
        path = f"dogs_vs_cats/{('cat', 'dog')[index % 2]}.{index // 2}.jpg"
        Image.fromarray(random.integers(0, 256, (48, 48, 3), np.uint8)).save(path)
    for index in range(92):
        folder = Path("pets", ("dog", "other")[index % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{index}.png")
    parts = {f"x_{part}": random.integers(0, 256, (8, 6, 6, 3), np.uint8) for part in ("train", "test")}
    np.savez("cats.npz", **parts, y_train=np.arange(8) % 2, y_test=np.arange(8) % 2)
    np.savez("test.npz", x=random.random((4, 3, 8, 8), np.float32))
    for seed, path in enumerate(("frozen/audit", "tuned/audit", "monday", "tuesday", "run/audit")):
        audit_of(relu_arrays(2, seed=seed)).save(f"{path}.safetensors")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_work_as_printed(command: str) -> None:
    arguments = shlex.split(command)
    if arguments[:2] == ["experiment", "investigate"]:
        arguments += ["--only", "freezing", "--iterations", "3"]
    elif arguments[0] == "experiment":  # as printed, but in seconds and without a download
        arguments += ["--weights", "none", "--scale", "0.008", "--epochs", "1", "--image-size", "48"]
    result = CliRunner().invoke(app, arguments)
    gate_may_fail = "--fail-over-nnu" in command
    assert result.exit_code in ((0, 1) if gate_may_fail else (0,)), result.output
    out = re.search(r"--out (\S+)", command)
    assert out is None or Path(out[1]).exists()
    sys.modules.pop("model", None)


def test_there_are_commands_of_every_kind() -> None:
    kinds = {command.split()[0] for command in COMMANDS}
    assert kinds >= {"audit", "compare", "merge", "report", "experiment", "doctor"}


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (Path(__file__).parents[1] / target).exists()
