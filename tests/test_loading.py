"""Objects that users name: what is accepted, what is refused and in which words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from neurocensus.loading import load_model, make


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if "tmp" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


MODEL = """
import torch
from helper import WIDTH
class Net(torch.nn.Module):
    @staticmethod
    def small(): return torch.nn.Linear(WIDTH, 1)
def build(): return torch.nn.Linear(WIDTH, 2)
def broken(): raise KeyError("conv9")
def a_class(): return torch.nn.Linear
def stops(): raise SystemExit(3)
def nothing(): torch.nn.Linear(1, 1)
def text(): return "net"
def needs(width): return torch.nn.Linear(width, 1)
_hidden = build
ready = torch.nn.Linear(5, 5)
"""


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    folder = tmp_path / "mé dossier"  # spaces and other alphabets are ordinary
    folder.mkdir()
    (folder / "helper.py").write_text("WIDTH = 7\n")
    path = folder / "my model.py"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize(("name", "inputs"), [("build", 7), ("ready", 5), ("Net.small", 7)])
def test_a_factory_an_instance_or_a_method_of_a_file(model_file: Path, name: str, inputs: int) -> None:
    """The file imports its neighbour ``helper``, as under ``python file.py``."""
    model = load_model(f"{model_file}:{name}")
    assert isinstance(model, nn.Linear)
    assert model.in_features == inputs


def test_an_importable_module_and_one_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(load_model("torch.nn:ReLU"), nn.ReLU)
    (tmp_path / "here_package").mkdir()
    (tmp_path / "here_package" / "inner.py").write_text("import torch\ndef build(): return torch.nn.Tanh()")
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_model("here_package.inner:build"), nn.Tanh)


def test_a_file_named_like_a_module_does_not_replace_it(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("import torch\nbuild = torch.nn.ReLU")
    import json

    assert isinstance(load_model(f"{tmp_path / 'json.py'}:build"), nn.ReLU)
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("{file}", ValueError, ["package.module:factory", "colon"]),
        ("{file}:", ValueError, ["package.module:factory"]),
        ("{folder}/none.py:build", FileNotFoundError, ["no such file", "none.py"]),
        ("no_such_package.inner:build", FileNotFoundError, ["no module 'no_such_package'"]),
        ("torch.nn.none:build", FileNotFoundError, ["no module 'torch.nn.none'"]),
        (
            "{file}:bild",
            ValueError,
            ["no 'bild'", "has: Net, a_class, broken, build, needs, nothing, stops, text"],
        ),
        ("{file}:broken", RuntimeError, ["KeyError: 'conv9'", "my model.py, line 8"]),
        ("{file}:needs", TypeError, ["without arguments", "width"]),
        ("{file}:nothing", TypeError, ["torch.nn.Module", "got None", "return"]),
        ("{file}:a_class", TypeError, ["got the class Linear, not an instance"]),
        ("{file}:stops", RuntimeError, ["SystemExit: 3"]),
        ("{file}:text", TypeError, ["torch.nn.Module", "got str"]),
    ],
)
def test_a_model_that_cannot_be_had(
    model_file: Path, spec: str, error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        load_model(spec.format(file=model_file, folder=model_file.parent))
    for word in ["model", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import absent_package", ["ModuleNotFoundError", "absent_package", "line 1"]),
        ("x = = 1", ["SyntaxError"]),
        ("import sys\nsys.exit('no')", ["SystemExit: no", "line 2"]),
    ],
)
def test_a_file_that_raises_on_import_is_shown_and_forgotten(
    tmp_path: Path, source: str, words: list[str]
) -> None:
    path = tmp_path / "raises.py"
    path.write_text(source)
    with pytest.raises(RuntimeError) as caught:
        make(f"{path}:build")
    assert all(word in str(caught.value) for word in words)
    assert "raises" not in sys.modules
