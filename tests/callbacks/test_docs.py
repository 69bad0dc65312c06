"""docs/callbacks.md is true: its Python runs, its options, fields and tags are those of the code."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neurocensus.callbacks import ActivationWarning, Monitor, read_monitor
from neurocensus.callbacks.statistics import PER_LAYER, WHOLE

from .samples import batches, framework, network, row

DOC = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)


def block(text: str) -> str:
    """The one with this in it."""
    (found,) = [code for code in BLOCKS if text in code]
    return str(found)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_plain_loop_and_what_it_leaves() -> None:
    model = network()
    data = [(x, torch.zeros(4, 2)) for x in batches(3)]
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    given = {
        "model": model, "loader": data, "validation": data, "optimizer": optimizer,
        "loss": nn.functional.mse_loss,
    }  # fmt: skip
    exec(block("with Monitor("), given)
    exec(block("read_monitor("), given)
    assert [one["mode"] for one in given["rows"]] == ["eval", "train"]
    assert Path("now.png").exists()
    assert Path("runs/1/activations.png").exists()


def test_a_warning_may_be_an_error() -> None:
    with warnings.catch_warnings():
        exec(block("simplefilter"), {})
        with pytest.raises(ActivationWarning):
            warnings.warn("x", ActivationWarning, stacklevel=1)


@pytest.mark.filterwarnings("ignore::UserWarning:lightning.*")
@pytest.mark.filterwarnings("ignore:.*treespec")
def test_lightning() -> None:
    framework("lightning.pytorch")
    from .test_lightning import Module, loader, validation

    exec(block("LightningCallback("), {"module": Module(), "loader": loader(3), "validation": validation()})
    assert {one["mode"] for one in read_monitor("runs/2")} == {"train", "eval"}


@pytest.mark.filterwarnings("ignore:.*pin_memory")
def test_transformers() -> None:
    framework("transformers")
    pytest.importorskip("accelerate")
    from .test_transformers import opt, tokens, trainer

    model = opt()
    arguments = trainer(model, Path("out"), tokens(4), eval_strategy="epoch").args
    given = {"model": model, "arguments": arguments, "texts": tokens(4)}
    exec(block("TransformersCallback("), given)
    assert {one["mode"] for one in read_monitor("runs/3")} == {"train", "eval"}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's progress bar
def test_keras() -> None:
    from .test_keras import images, sequential

    model, (x, y) = sequential(), images(8)
    given: dict[str, Any] = {"model": model, "x": x, "y": y, "torch": torch}
    exec(block("KerasCallback("), given)
    assert {one["mode"] for one in read_monitor("runs/4")} == {"train", "eval"}
    exec(block("nc.audit(model, [torch.as_tensor(x)])"), given)
    assert "conv.relu" in given["audit"].layers


def test_every_block_is_run() -> None:
    assert len(BLOCKS) == 7


def test_the_options_are_all_there_with_their_defaults() -> None:
    parameters = inspect.signature(Monitor).parameters
    table = DOC.split("## Options")[1].split("## What is written")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert set(parameters) - {"model", "folder"} <= named
    for names, default in re.findall(r"^\| `(\w+)` \| (\"auto\"|[\d.]+) \|", table, re.MULTILINE):
        assert repr(parameters[names].default) == default.replace('"', "'")


def test_the_fields_and_tags_are_all_there() -> None:
    table = DOC.split("| field of a row")[1].split("What is not known")[0]
    one = row(1, {"a": 0.5})
    assert set(re.findall(r"`(\w+)`", table)) - {"Audit", "kind", "message", "layer"} == {
        *one, *one["layers"]["a"],
    }  # fmt: skip
    tags = DOC.split("Scalars are tagged")[1].split("## Warnings")[0]
    assert f"({', '.join(PER_LAYER)})" in tags
    assert f"({', '.join(WHOLE)})" in tags.replace("\n", " ")
