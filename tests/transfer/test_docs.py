"""docs/transfer.md and docs/deletion.md are true: their Python runs from top to bottom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurocensus import zoo
from neurocensus._torchvision import import_torchvision
from neurocensus.data import Examples

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore:.*torchvision:RuntimeWarning")
@pytest.mark.parametrize("page", ["transfer.md", "deletion.md"])
def test_the_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch_pruning")
    try:
        import_torchvision()
    except ModuleNotFoundError:
        pytest.skip("needs torchvision")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (8, 48, 48, 3), np.uint8)
    examples = Examples(pixels, np.arange(8) % 2, ("cat", "dog"))
    model = zoo.create("thesis-5", backbone="squeezenet1_1", image_size=(48, 48), seed=0).eval()
    names = {"model": model, "train": examples, "validation": examples, "test": examples}
    for block in blocks:
        exec(block, names)
    assert isinstance(names["model"], torch.nn.Module)


@pytest.mark.parametrize("package", ["transfer", "deletion"])
def test_importing_the_package_imports_neither_torch_nor_matplotlib(package: str) -> None:
    program = (
        f"import sys, neurocensus.{package} as p; assert not {{'torch', 'matplotlib'}} & set(sys.modules); "
        "[getattr(p, name) for name in dir(p)]; assert set(dir(p)) == set(p.__all__)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
