"""Packages whose names are imported when first used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = (
    "", ".zoo", ".training", ".transfer", ".deletion", ".data", ".assessment", ".explain", ".scratch",
    ".sweeps",
)  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_no_other(package: str) -> None:
    module = importlib.import_module(f"neurocensus{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="'no_such_name'"):
        _ = module.no_such_name


def test_importing_them_imports_nothing_heavy() -> None:
    imports = "; ".join(f"import neurocensus{package}" for package in PACKAGES)
    heavy = "{'torch', 'torchvision', 'matplotlib', 'sklearn', 'scipy', 'torch_pruning', 'pandas'}"
    code = f"import sys; {imports}; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_an_audit_needs_torch_and_no_more() -> None:
    """What else is imported would be memory of every training that is watched."""
    code = (
        "import sys, torch, neurocensus as nc\n"
        "nc.audit(torch.nn.ReLU(), [torch.ones(2, 3)])\n"
        "print(*({'PIL', 'matplotlib', 'jinja2', 'rich', 'typer', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
