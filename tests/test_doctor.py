"""The doctor: what it says of a healthy installation, and of one that is not."""

from __future__ import annotations

import builtins
import subprocess
import sys
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from neurocensus import _core, doctor
from neurocensus.cli import app


def facts() -> dict[str, doctor.Fact]:
    return {fact.name: fact for fact in doctor.examine()}


def test_a_healthy_installation() -> None:
    found = facts()
    assert all(fact.healthy for fact in found.values()), found
    assert _core.instruction_set() in found["instruction set"].value
    assert found["this CPU can run"].value.split(", ") == list(_core.instruction_sets())
    assert found["torch"].value == torch.__version__
    assert found["threads"].value.startswith(str(torch.get_num_threads()))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in found)


def test_a_core_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_core(name: str, scope: Any = None, local: Any = None, names: Any = (), level: int = 0) -> Any:
        if names and "_core" in names:
            raise ImportError("no such symbol")
        return imported(name, scope, local, names, level)

    monkeypatch.setattr(builtins, "__import__", without_core)
    assert "no such symbol" in facts()["compiled core"].value
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "unhealthy: compiled core" in result.stderr


def test_an_instruction_set_that_this_cpu_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 19: the override raises, and the doctor passes on what it says."""

    def refuse() -> str:
        raise ValueError("NEUROCENSUS_SIMD: expected one of baseline, got 'sve9'")

    monkeypatch.setattr(_core, "instruction_set", refuse)
    monkeypatch.setenv("NEUROCENSUS_SIMD", "sve9")
    found = facts()
    assert not found["instruction set"].healthy
    assert "sve9" in found["instruction set"].value
    assert found["NEUROCENSUS_SIMD"].value == "sve9"


def test_a_core_that_miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocensus import state

    monkeypatch.setattr(state.UnitState, "max", property(lambda self: self.min))
    assert not facts()["self-test"].healthy


@pytest.mark.parametrize(
    ("available", "version", "words"),
    [(True, "12.8", "yes: Imaginary"), (False, "12.8", "no usable GPU"), (False, None, "without CUDA")],
)
def test_why_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, available: bool, version: str | None, words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Imaginary")
    monkeypatch.setattr(torch.version, "cuda", version)
    assert words in facts()["GPU seen by torch"].value


@pytest.mark.parametrize(
    ("count", "driver", "words"),
    [((0, "too old"), 12020, "no: too old"), ((0, "too old"), 0, "there is no driver")],
)
def test_what_the_cuda_module_finds(
    monkeypatch: pytest.MonkeyPatch, count: tuple[int, str], driver: int, words: str
) -> None:
    module = pytest.importorskip("neurocensus._cuda", reason="built without the CUDA module")
    monkeypatch.setattr(module, "device_count", lambda: count)
    monkeypatch.setattr(module, "driver_version", lambda: driver)
    found = facts()
    assert found["CUDA module"].healthy
    assert module.architectures() in found["CUDA module"].value
    assert words in found["GPU for the CUDA module"].value


def test_a_gpu_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one, it seems, but the first use of it fails: here, since there is none."""
    module = pytest.importorskip("neurocensus._cuda", reason="built without the CUDA module")
    if torch.cuda.is_available():
        pytest.skip("it counts")
    monkeypatch.setattr(module, "device_count", lambda: (1, ""))
    fact = facts()["GPU for the CUDA module"]
    assert not fact.healthy
    assert "a test failed: device: expected one that is available here" in fact.value


def test_built_without_the_cuda_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurocensus._cuda", None)
    monkeypatch.delattr("neurocensus._cuda", raising=False)
    assert "built without it" in facts()["CUDA module"].value


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = facts()
    assert not found["torch"].healthy
    assert found["compiled core"].healthy


def test_without_a_core_the_package_imports_and_the_first_use_says_why() -> None:
    """A missing native part fails at the call, with the reason and the next step; the doctor still runs."""
    script = (
        "import neurocensus as nc\n"
        "try:\n    nc.UnitState(3)\n"
        "except ImportError as error:\n    assert 'neurocensus doctor' in str(error), error\n"
        "else:\n    raise SystemExit('UnitState works without a core?')\n"
        "from neurocensus.cli import app\n"
        "app(['doctor'])\n"
    )
    blocked = "import sys; sys.modules['neurocensus._core'] = None\n"
    run = subprocess.run(
        [sys.executable, "-c", blocked + script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "unhealthy: compiled core" in run.stderr
