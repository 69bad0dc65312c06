"""Importing the package is light; each framework is imported when its callback is asked for."""

from __future__ import annotations

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
    assert sorted(neurocensus.callbacks.__all__) == list(neurocensus.callbacks.__all__)
    assert set(neurocensus.callbacks._HOME) == set(neurocensus.callbacks.__all__)
    assert dir(neurocensus.callbacks) == neurocensus.callbacks.__all__
    for name in ("ActivationWarning", "Monitor", "plot_monitor", "read_monitor"):
        assert getattr(neurocensus.callbacks, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = neurocensus.callbacks.no_such_name
