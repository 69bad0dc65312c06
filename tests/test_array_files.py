"""Files of arrays: what comes back is what went in, or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from neurocensus import array_files

Arrays = dict[str, np.ndarray[Any, Any]]

DTYPES = [np.float64, np.float32, np.int64, np.uint8, np.bool_]
ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
    ),
    max_size=4,
)
BODIES = st.dictionaries(
    st.text(st.characters(codec="utf-8")), st.integers() | st.text() | st.none(), max_size=3
)


def assert_same(found: Arrays, wanted: Arrays) -> None:
    """Bit for bit."""
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@given(arrays=ARRAYS, body=BODIES)
def test_back_and_forth(
    arrays: Arrays, body: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "back-and-forth"
    array_files.write(path, "kind", arrays, body)
    found, found_body = array_files.read(path, "kind")
    assert found_body == json.loads(json.dumps(body))
    assert_same(found, arrays)
    assert path.read_bytes() == array_files.dump("kind", dict(reversed(arrays.items())), body)


WHOLE: Arrays = {"a": np.arange(12.0).reshape(3, 4).T, "b": np.array([True, False])}


@given(data=st.data())
def test_a_changed_or_missing_byte_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Or it changes nothing: a blank of the header may become another blank."""
    content = array_files.dump("kind", WHOLE, {"k": [1, None]})
    where = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damaged = content[:where]
    else:
        other = content[where] ^ data.draw(st.integers(1, 255))
        damaged = content[:where] + bytes([other]) + content[where + 1 :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    found: Any
    try:
        found = array_files.read(path, "kind")
    except ValueError as error:
        found = str(error)
    if isinstance(found, str):
        assert found.startswith(f"{path}: expected a whole file of format 'kind', got: ")
    else:
        assert found[1] == {"k": [1, None]}
        assert_same(found[0], WHOLE)


def test_each_byte_of_the_arrays_counts(tmp_path: Path) -> None:
    content = array_files.dump("kind", WHOLE, {})
    for where in range(8 + int.from_bytes(content[:8], "little"), len(content)):
        (tmp_path / "x").write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
        with pytest.raises(ValueError, match="got: one whose content has changed since it was written"):
            array_files.read(tmp_path / "x", "kind")


def test_something_else(tmp_path: Path) -> None:
    save_file({"a": np.ones(1)}, tmp_path / "plain")
    with pytest.raises(ValueError, match="expected a whole file of format 'kind', got: format None"):
        array_files.read(tmp_path / "plain", "kind")
    array_files.write(tmp_path / "x", "kind", WHOLE, {})
    with pytest.raises(ValueError, match="expected a whole file of format 'other', got: format 'kind'"):
        array_files.read(tmp_path / "x", "other")
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError, match="expected a file of format 'kind', found no such file"):
            array_files.read(folder, "kind")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": "2"}, "format_version '2', where this neurocensus knows 1; upgrade with: pip"),
        ({"body": "[]"}, "a body that is no JSON object"),
        ({"body": "{"}, "got: Expecting"),
        ({}, r"wrong checksum"),
    ],
)
def test_metadata_of_another_kind(tmp_path: Path, change: dict[str, str], message: str) -> None:
    metadata = {"format": "kind", "format_version": "1", "body": "{}", **change}
    save_file({"a": np.ones(1)}, tmp_path / "x", metadata)
    with pytest.raises(ValueError, match=message):
        array_files.read(tmp_path / "x", "kind")


def test_a_dtype_that_numpy_lacks(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_tensors

    metadata = {"format": "kind", "format_version": "1", "body": "{}"}
    save_tensors({"a": torch.ones(1, dtype=torch.bfloat16)}, tmp_path / "x", metadata)
    with pytest.raises(ValueError, match="expected a whole file of format 'kind'"):
        array_files.read(tmp_path / "x", "kind")


def test_no_torch_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from neurocensus import array_files\n"
        f"array_files.write({str(tmp_path / 'x')!r}, 'kind', {{'a': np.ones(2)}}, {{}})\n"
        f"array_files.read({str(tmp_path / 'x')!r}, 'kind')\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
