"""The command line as a whole: quick to start, frank about errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import neurocensus
from neurocensus.cli import app

if TYPE_CHECKING:
    from .conftest import Run

COMMANDS = ["demo", "audit", "compare", "merge", "report", "doctor"]


def test_help_imports_nothing_heavy() -> None:
    """The limit is what is imported, not the time: that depends on the machine."""
    script = (
        "import sys\n"
        "from neurocensus.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'PIL', 'jinja2', 'pandas', 'scipy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output
    if command in ("audit", "compare", "merge", "report"):
        assert f"neurocensus {command} " in result.output.partition("Example")[2]


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"neurocensus {neurocensus.__version__}"


@pytest.mark.parametrize("by", ["option", "environment"])
def test_debug_shows_the_traceback(here: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    words = ["report", "none.safetensors", "--out", "r"]
    if by == "environment":
        monkeypatch.setenv("NEUROCENSUS_DEBUG", "1")
    result = CliRunner().invoke(app, ["--debug", *words] if by == "option" else words)
    assert isinstance(result.exception, FileNotFoundError)


@pytest.mark.filterwarnings("default")
def test_warnings_are_remarks(run: Run, here: Path) -> None:
    (here / "warns.py").write_text(
        "import warnings, torch\n"
        "def build():\n"
        "    warnings.warn('mind this')\n"
        "    return torch.nn.Linear(3, 2)\n"
    )
    result = run("audit", "warns.py:build", "--data", "x.npz")
    assert result.exit_code == 0
    assert "mind this" in result.stderr
