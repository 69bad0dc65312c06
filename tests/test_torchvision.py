"""torchvision beside a torch that it was not built for, and where it is missing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A package that does what torchvision does as it is imported.
FAKE = {
    "no operators": """
        import torch
        @torch.library.register_fake("torchvision::nms")
        def nms(dets, scores, iou_threshold): return scores
        @torch.library.register_fake("torchvision::qnms")
        def qnms(dets, scores, iou_threshold): return scores
        from . import models
        """,
    "another CUDA": """
        import torch
        if torch.version.cuda is not None:
            raise RuntimeError("compiled with different CUDA major versions. PyTorch has 12.6")
        from . import models
        """,
    "an operator of tomorrow": """
        import torch
        @torch.library.register_fake("torchvision::new_one")
        def new_one(x): return x
        """,
    "another error": "raise RuntimeError('out of memory')",
    "a part missing": "import package_that_is_not_there",
}
CODE = """
import sys, torch, warnings
sys.path.insert(0, sys.argv[1])
torch.version.cuda = "12.6"
from neurocensus._torchvision import import_torchvision
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        module = import_torchvision()
        assert import_torchvision() is module is sys.modules["torchvision"]
        print("imported", module.models.ready)
        assert torch.version.cuda == "12.6"
    except Exception as error:
        print(type(error).__name__, error)
for warning in caught:
    if "torchvision" in str(warning.message):
        print("warning", warning.category.__name__, warning.message)
"""


def outcome(folder: Path, package: str | None) -> list[str]:
    """What is printed where a package `torchvision` of this source, or none, is found."""
    home = folder / "torchvision"
    if package is not None:
        home.mkdir()
        (home / "__init__.py").write_text(textwrap.dedent(package))
        (home / "models.py").write_text("ready = True")
        about = folder / "torchvision-9.8.7.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 9.8.7\n")
    else:
        home.with_suffix(".py").write_text("raise ModuleNotFoundError(name='torchvision')")
    command = [sys.executable, "-c", CODE, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("no operators", "operator torchvision::nms does not exist"),
        ("another CUDA", "compiled with different CUDA major versions"),
    ],
)
def test_models_work_and_a_warning_says_once_what_is_off(tmp_path: Path, package: str, reason: str) -> None:
    first, warning = outcome(tmp_path, FAKE[package])
    assert first == "imported True"
    assert warning.startswith("warning RuntimeWarning the compiled operators of torchvision 9.8.7 (nms, ")
    assert f": {reason}. Models and transforms work" in warning


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("an operator of tomorrow", "RuntimeError operator torchvision::new_one does not exist"),
        ("another error", "RuntimeError out of memory"),
        ("a part missing", "ModuleNotFoundError No module named 'package_that_is_not_there'"),
    ],
)
def test_other_errors_are_not_hidden(tmp_path: Path, package: str, words: str) -> None:
    assert outcome(tmp_path, FAKE[package]) == [words]


def test_without_torchvision_it_says_what_to_install(tmp_path: Path) -> None:
    [line] = outcome(tmp_path, None)
    assert line.startswith("ModuleNotFoundError")
    assert "pip install 'neurocensus[vision]'" in line
