"""TopExamples and LayerTop: what is kept, saved and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurocensus as nc
from neurocensus.explain import LayerTop, TopExamples

from ...audit_samples import NASTY_NAMES


def top_of(names: tuple[str, ...]) -> TopExamples:
    values = np.array([[3.0, -np.inf], [0.0, 0.0]])
    examples = np.array([[7, -1], [0, 1]])
    layers = {
        name: LayerTop(name, f"kind of {name}", values + index, examples) for index, name in enumerate(names)
    }
    return TopExamples(layers, model="\x1b[31mmodel", examples=9)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    top = top_of(NASTY_NAMES)
    top.save(tmp_path / "a")
    top.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = TopExamples.load(tmp_path / "a")
    assert (found.model, found.examples, found.k) == (top.model, 9, 2)
    assert list(found.layers) == list(NASTY_NAMES)
    for name, layer in found.layers.items():
        assert (layer.name, layer.kind) == (name, top.layers[name].kind)
        np.testing.assert_array_equal(layer.values, top.layers[name].values)
        np.testing.assert_array_equal(layer.examples, top.layers[name].examples)
    assert repr(top) == f"TopExamples(\\x1b[31mmodel: {len(NASTY_NAMES)} layers, 14 units, k=2, 9 examples)"


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "top.safetensors"
    with pytest.raises(FileNotFoundError, match="found no such file"):
        TopExamples.load(path)
    top_of(("a",)).save(path)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[:40], b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"expected a whole file of format 'neurocensus\.top'"):
            TopExamples.load(path)
    damage = {
        b"neurocensus.top": b"neurocensus.pot", b'"format_version":"1"': b'"format_version":"2"',
        b'"F64"': b'"I64"', b"layers.0.values": b"layers.0.valuez", b'\\"name\\"': b'\\"nane\\"',
        b'\\"layers\\"': b'\\"layerz\\"',
    }  # fmt: skip
    for old, new in damage.items():
        assert old in whole
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match=str(path)):
            TopExamples.load(path)
    nc.audit(nn.ReLU(), [torch.ones(1, 2)], progress=False).save(path)
    with pytest.raises(ValueError, match=r"format 'neurocensus\.audit'"):
        TopExamples.load(path)


def test_impossible_results_are_refused() -> None:
    one = np.zeros((2, 1))
    with pytest.raises(ValueError, match=r"expected both of shape \(units, k\), got \(2, 1\) and \(2,\)"):
        LayerTop("a", "ReLU", one, np.zeros(2, np.int64))
    with pytest.raises(TypeError, match="expected float64 and int64, got float64 and float64"):
        LayerTop("a", "ReLU", one, one)
    a, b = (LayerTop(n, "x", np.zeros((2, k)), np.zeros((2, k), np.int64)) for n, k in (("a", 1), ("b", 2)))
    with pytest.raises(ValueError, match=r"all of the same k, got k \[1, 2\]"):
        TopExamples({"a": a, "b": b}, model="m", examples=1)
    with pytest.raises(ValueError, match="got k of none"):
        TopExamples({}, model="m", examples=1)
