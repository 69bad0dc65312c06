"""The switch NEUROCENSUS_CUDA: what a build does where nvcc cannot be found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def configure(folder: Path, choice: str) -> subprocess.CompletedProcess[str]:
    """Configure a build on a machine that seems to have no nvcc."""
    pybind11 = pytest.importorskip("pybind11", reason="a build needs pybind11")
    beside = Path(sys.executable).parent
    cmake = shutil.which("cmake", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if cmake is None:
        pytest.skip("a build needs CMake")
    options = {
        "NEUROCENSUS_CUDA": choice,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "Python_EXECUTABLE": sys.executable,
    }
    return subprocess.run(
        [
            cmake,
            "-S",
            str(ROOT),
            "-B",
            str(folder),
            *(f"-D{name}={value}" for name, value in options.items()),
        ],
        env={**os.environ, "CUDACXX": str(folder / "no" / "nvcc")},
        capture_output=True,
        text=True,
        check=False,
    )


def words(text: str) -> str:
    """Without the line breaks that CMake puts into messages."""
    return " ".join(text.split())


def test_on_fails_and_says_where_it_looked(tmp_path: Path) -> None:
    done = configure(tmp_path, "ON")
    assert done.returncode != 0
    assert "NEUROCENSUS_CUDA is ON, but no nvcc found" in words(done.stderr)
    assert "Set CUDACXX" in words(done.stderr)


@pytest.mark.parametrize(("choice", "said"), [("AUTO", "CUDA module: not built, no nvcc found"), ("OFF", "")])
def test_without_nvcc_the_rest_is_built(tmp_path: Path, choice: str, said: str) -> None:
    done = configure(tmp_path, choice)
    assert done.returncode == 0, done.stderr
    assert said in words(done.stdout)


def test_any_other_word_is_refused(tmp_path: Path) -> None:
    done = configure(tmp_path, "MAYBE")
    assert done.returncode != 0
    assert "expected AUTO, ON or OFF, got 'MAYBE'" in words(done.stderr)
