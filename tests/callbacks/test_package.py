"""Importing the package is light; each framework is imported when its callback is asked for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import neurocensus.callbacks


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'matplotlib', 'lightning', 'transformers', 'keras', 'wandb', 'tensorboard'}"
    code = f"import sys, neurocensus.callbacks; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_monitor_needs_no_framework() -> None:
    heavy = "{'matplotlib', 'lightning', 'transformers', 'keras', 'wandb', 'tensorboard', 'pandas'}"
    code = (
        "import sys, tempfile\nfrom torch import nn\nfrom neurocensus.callbacks import Monitor\n"
        "Monitor(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), tempfile.mkdtemp(), tensorboard=False).open()\n"
        f"print(*({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_names_are_those_of_the_package() -> None:
    assert sorted(neurocensus.callbacks._HOME) == dir(neurocensus.callbacks)
    frameworks = {"KerasCallback", "LightningCallback", "TransformersCallback"}
    assert set(dir(neurocensus.callbacks)) - frameworks == set(neurocensus.callbacks.__all__)
    for name in neurocensus.callbacks.__all__:
        assert getattr(neurocensus.callbacks, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = neurocensus.callbacks.no_such_name


def test_a_star_imports_no_framework() -> None:
    code = (
        "import sys\nfrom neurocensus.callbacks import *\nMonitor, read_monitor\n"
        "print(*({'lightning', 'pytorch_lightning', 'transformers', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("lightning", "from neurocensus.callbacks import LightningCallback"),
        ("transformers", "from neurocensus.callbacks import TransformersCallback\n"
         "from transformers import CLIPImageProcessor, Trainer"),
    ],
)  # fmt: skip
def test_a_framework_is_imported_where_the_operators_of_torchvision_do_not_load(
    package: str, code: str
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
