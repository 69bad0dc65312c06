"""Files of tensors: what comes back is what went in, or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from neurocensus.training import checkpoint

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]
TENSORS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.builds(
        lambda shape, dtype: (
            torch.arange(int(torch.tensor(shape).prod()) if shape else 1).reshape(shape).to(dtype)
        ),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.sampled_from(DTYPES),
    ),
    max_size=4,
).filter(lambda tensors: "__metadata__" not in tensors)
BODIES = st.dictionaries(
    st.text(st.characters(codec="utf-8")), st.integers() | st.text() | st.none(), max_size=3
)


@given(tensors=TENSORS, body=BODIES)
def test_back_and_forth(
    tensors: dict[str, Tensor], body: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "x"
    checkpoint.write(path, "kind", tensors, json.loads(json.dumps(body)))
    found, found_body = checkpoint.read(path, "kind")
    assert found_body == json.loads(json.dumps(body)) == checkpoint.peek(path, "kind")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_tensors_that_share_memory_or_have_strides(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "base": base,
        "same": base,
        "turned": base.T,
        "row": base[1],
        "gradient": base.clone().requires_grad_(),
    }
    checkpoint.write(tmp_path / "x", "kind", tensors, {})
    found, _ = checkpoint.read(tmp_path / "x", "kind")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "x"
    checkpoint.write(
        path, "kind", {"a": torch.arange(4.0), "b": torch.ones(2, dtype=torch.int64)}, {"k": [1, None]}
    )
    return path


@given(data=st.data())
def test_a_changed_or_missing_byte_is_noticed(
    data: st.DataObject, written: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = written.read_bytes()
    where = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damaged = content[:where]
    else:
        other = content[where] ^ data.draw(st.integers(1, 255))
        damaged = content[:where] + bytes([other]) + content[where + 1 :]
    path = tmp_path_factory.mktemp("damaged") / "x"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="expected a whole file of format 'kind', got: "):
        checkpoint.read(path, "kind")


def test_something_else(tmp_path: Path, written: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "plain")
    with pytest.raises(ValueError, match="expected a whole file of format 'kind', got: format None"):
        checkpoint.read(tmp_path / "plain", "kind")
    with pytest.raises(ValueError, match="expected a whole file of format 'other', got: format 'kind'"):
        checkpoint.read(written, "other")
    assert checkpoint.peek(written, "other") is None
    assert checkpoint.peek(tmp_path / "none", "kind") is None


def test_a_newer_format(tmp_path: Path) -> None:
    metadata = {"format": "kind", "format_version": "2", "body": "{}", "crc32": "0"}
    save_file({"a": torch.ones(1)}, tmp_path / "x", metadata)
    with pytest.raises(
        ValueError, match="format_version '2', where this neurocensus knows 1; upgrade with: pip"
    ):
        checkpoint.read(tmp_path / "x", "kind")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoint.read(tmp_path / "x", "kind")
