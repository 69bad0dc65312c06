from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocensus import storage
from neurocensus.result import Audit
from neurocensus.storage import load

from .audit_samples import (
    GOLDEN,
    NASTY_NAMES,
    assert_told_alike,
    audit_of,
    golden_audit,
    layer_audit,
    relu_arrays,
)

LAYERS = st.dictionaries(
    st.text(max_size=8) | st.sampled_from(NASTY_NAMES),
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=2, max_dims=3, max_side=4), elements=st.floats(width=32)
    ),
    max_size=4,
)


def assert_same(a: Audit, b: Audit) -> None:
    """Bit for bit, NaN and signed zero included."""
    assert_told_alike(a, b, "versions", "annotations", "parts")
    for name, ours in a.layers.items():
        left, right = ours.state.to_dict(), b.layers[name].state.to_dict()
        assert left.keys() == right.keys()
        for key, value in left.items():
            if isinstance(value, np.ndarray):
                assert value.dtype == right[key].dtype
                assert value.tobytes() == right[key].tobytes(), key
            else:
                assert value == right[key], key


class TestRoundTrip:
    @given(LAYERS, st.booleans(), st.sampled_from([0.0, 1e-9, 0.5]))
    def test_is_bit_exact_for_any_values_and_names(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        arrays: dict[str, Any],
        histogram: bool,
        threshold: float,
    ) -> None:
        audit = audit_of(
            arrays, threshold=threshold, histogram=histogram, model=next(iter(arrays), "x"),
            expected=[*arrays, "gone"], never_fired=["gone"],
            annotations={"accuracy": 0.1, "n": 3, "ok": True, "é": "<"},
        )  # fmt: skip
        path = tmp_path_factory.getbasetemp() / "audit.safetensors"
        audit.save(path)
        assert_same(audit, load(path))

    def test_saved_audits_are_plain_safetensors(self, tmp_path: Path) -> None:
        golden_audit().save(tmp_path / "a.safetensors")
        tensors = safetensors.numpy.load_file(tmp_path / "a.safetensors")
        np.testing.assert_array_equal(tensors["layers.0.max"], [0, 3, 0.5, -np.inf])

    def test_the_same_audit_gives_the_same_bytes(self) -> None:
        """The library alone writes metadata in a random order."""
        assert len({storage.dump(golden_audit()) for _ in range(8)}) == 1

    @given(LAYERS, st.booleans())
    def test_the_pieces_are_what_the_library_writes(self, arrays: dict[str, Any], histogram: bool) -> None:
        content = storage.dump(audit_of(arrays, histogram=histogram))
        tensors = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert storage.in_order(safetensors.numpy.save(tensors, header["__metadata__"])) == content

    def test_files_of_format_1_are_written_as_ever(self) -> None:
        assert storage.dump(golden_audit()) == storage.in_order(
            (GOLDEN / "audit-v1.safetensors").read_bytes()
        )

    def test_bytes_are_what_is_in_the_file(self, tmp_path: Path) -> None:
        audit = audit_of(relu_arrays(2), parts=["0" * 64, "a" * 64])
        audit.save(tmp_path / "a")
        assert audit.to_bytes() == (tmp_path / "a").read_bytes()
        for content in (audit.to_bytes(), bytearray(audit.to_bytes()), memoryview(audit.to_bytes())):
            assert_same(audit, Audit.from_bytes(content))

    def test_strings_are_paths_too(self, tmp_path: Path) -> None:
        golden_audit().save(str(tmp_path / "a"))
        assert_same(golden_audit(), load(str(tmp_path / "a")))


class TestGolden:
    """Files written once, by ``python tests/audit_samples.py``, that must load for ever."""

    def test_format_1(self) -> None:
        audit = load(GOLDEN / "audit-v1.safetensors")
        assert_same(audit, golden_audit())
        # The numbers again, so that a change of both sides cannot hide.
        assert (audit.model, audit.examples, audit.batches, audit.threshold) == ("Golden", 2, 1, 0.0)
        assert audit.never_fired == ("fc",)
        assert audit.annotations == {"accuracy": 0.75, "seed": 7, "ok": True, "who": "me"}
        layer, unseen = audit.layers.values()
        assert (layer.kind, layer.calls, layer.masked, layer.training) == ("Conv2d", 2, True, False)
        assert layer.state.dead.tolist() == [True, False, False, False]
        assert layer.state.max.tolist() == [0, 3, 0.5, -np.inf]
        assert layer.state.min.tolist() == [0, 1, -2, np.inf]
        assert layer.state.argmax.tolist() == [0, 1, 1, -1]
        assert layer.state.mean.tolist() == [0, 2, -0.75, 0]
        assert layer.state.m2.tolist() == [0, 2, 3.125, 0]
        assert layer.state.mean_abs.tolist() == [0, 2, 1.25, 0]
        assert layer.state.nan.tolist() == layer.state.inf.tolist() == [0, 0, 0, 1]
        assert layer.state.histogram is not None
        assert layer.state.histogram.sum() == 6
        assert (unseen.name, unseen.unseen, unseen.dtype) == ("<b>ö</b>", 2, "bfloat16")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "audit.safetensors"
    golden_audit().save(path)
    return path


def rewrite(
    path: Path, tensors: dict[str, Any] | None = None, body: dict[str, Any] | None = None, **meta: str
) -> None:
    """Save the file again with some tensors, JSON fields or metadata changed; None deletes a tensor."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = {name: array for name, array in {**old, **(tensors or {})}.items() if array is not None}
    metadata["audit"] = json.dumps({**json.loads(metadata["audit"]), **(body or {})})
    safetensors.numpy.save_file(changed, path, {**metadata, **meta})


class TestDamage:
    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nothing\.here: expected an audit file"):
            load(tmp_path / "nothing.here")

    @pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" * 50, b"\xff" * 100])
    def test_not_safetensors(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"x\.safetensors: expected a complete safetensors file, got: .*repeat"
        ):
            load(path)

    @given(st.floats(0, 1, exclude_max=True))
    def test_truncated_anywhere(self, tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
        whole = (GOLDEN / "audit-v1.safetensors").read_bytes()
        path = tmp_path_factory.getbasetemp() / "truncated.safetensors"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"truncated\.safetensors: expected a complete safetensors file"):
            load(path)

    @given(st.data())
    def test_any_flipped_byte_loads_or_raises_value_error(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        content = bytearray((GOLDEN / "audit-v1.safetensors").read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
        path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
        path.write_bytes(content)
        with contextlib.suppress(ValueError):
            assert load(path).units > 0  # whatever it is, it is usable

    @given(st.data())
    def test_bytes_cut_or_flipped_anywhere_raise_value_error(self, data: st.DataObject) -> None:
        content = bytearray((GOLDEN / "audit-v1.safetensors").read_bytes())
        if data.draw(st.booleans()):
            with pytest.raises(ValueError, match="content: expected a complete safetensors file"):
                Audit.from_bytes(bytes(content[: data.draw(st.integers(0, len(content) - 1))]))
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
        with contextlib.suppress(ValueError):
            assert Audit.from_bytes(bytes(content)).units > 0

    def test_what_is_no_bytes(self) -> None:
        with pytest.raises(TypeError, match=r"content: expected bytes of Audit\.to_bytes, got str"):
            Audit.from_bytes("audit.safetensors")  # type: ignore[arg-type]

    def test_another_safetensors_file(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.safetensors"
        safetensors.numpy.save_file({"weight": np.ones(3)}, path)
        with pytest.raises(
            ValueError, match=r"expected a safetensors file of format 'neurocensus\.audit', got format None"
        ):
            load(path)

    def test_newer_format_says_upgrade(self, saved: Path) -> None:
        rewrite(saved, format_version="2")
        with pytest.raises(
            ValueError, match=r"format_version up to 1, got 2.*upgrade with: pip install --upgrade"
        ):
            load(saved)

    @pytest.mark.parametrize("version", ["", "0", "-1", "one", "²"])
    def test_nonsense_version(self, saved: Path, version: str) -> None:
        rewrite(saved, format_version=version)
        with pytest.raises(ValueError, match="format_version: expected a positive integer"):
            load(saved)

    @pytest.mark.parametrize("audit", ["", "[]", "{", "null", "[" * 5000])
    def test_metadata_that_is_no_audit(self, saved: Path, audit: str) -> None:
        rewrite(saved, audit=audit)
        with pytest.raises(ValueError, match="audit: expected"):
            load(saved)

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ({"layers.0.max": None}, r"layers\.0\.max: expected a tensor, found none"),
            ({"layers.1.nonzero": None}, r"layers\.1\.nonzero: expected a tensor, found none"),
            ({"layers.0.max": np.zeros(4, np.float32)}, "expected float64, got float32"),
            ({"layers.0.nan": np.zeros(4)}, "expected int64, got float64"),
            ({"layers.0.min": np.zeros(3)}, r"expected shape \(4,\), got \(3,\)"),
            ({"layers.0.max": np.zeros((2, 2))}, r"expected shape \(units,\), got \(2, 2\)"),
            ({"layers.0.max": np.zeros(0)}, r"expected shape \(units,\)"),
            ({"layers.0.nonzero": np.array([-1, 2, 2, 0])}, r"nonzero: expected numbers that data can give"),
            ({"layers.0.nonzero": np.array([0, 3, 2, 0])}, "nonzero: expected numbers"),
            ({"layers.0.active_examples": np.array([1, 2, 2, 0])}, "active_examples: expected numbers"),
            ({"layers.0.nan": np.array([0, 0, 0, 3])}, "nan: expected numbers"),
            ({"layers.0.inf": np.array([0, 0, 0, 2])}, "inf: expected numbers"),
            ({"layers.0.argmax": np.array([0, 1, 2, -1])}, "argmax: expected numbers"),
            ({"layers.0.argmax": np.array([0, 1, -1, -1])}, "argmax: expected numbers"),
            ({"layers.0.max": np.array([0, np.nan, 0.5, -np.inf])}, "max: expected numbers"),
            ({"layers.0.min": np.array([0, 4.0, -2, np.inf])}, "min: expected numbers"),
            ({"layers.0.m2": np.array([0, -1.0, 0, 0])}, "m2: expected numbers"),
            ({"layers.0.mean_abs": np.array([0, -1.0, 0, 0])}, "mean_abs: expected numbers"),
            ({"layers.2.max": np.zeros(2)}, r"others too: \['layers\.2\.max'\]"),
        ],
    )  # fmt: skip
    def test_impossible_tensors(self, saved: Path, tensors: dict[str, Any], message: str) -> None:
        rewrite(saved, tensors)
        with pytest.raises(ValueError, match=r"audit\.safetensors: .*" + message):
            load(saved)

    def test_values_without_examples(self, saved: Path) -> None:
        with safetensors.safe_open(saved, framework="numpy") as file:
            layers = json.loads(file.metadata()["audit"])["layers"]
        layers[0]["state"]["examples"] = 0
        rewrite(saved, {"layers.0.active_examples": np.zeros(4, np.int64)}, {"layers": layers})
        with pytest.raises(ValueError, match=r"layers\.0\.examples: expected numbers that data can give"):
            load(saved)

    def test_wrong_histogram(self, saved: Path) -> None:
        histogram = golden_audit().layers["features.0"].state.histogram
        assert histogram is not None
        for wrong in (histogram + 1, histogram[:-1]):
            rewrite(saved, {"layers.0.histogram": wrong})
            with pytest.raises(ValueError, match=r"layers\.0"):
                load(saved)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"examples": -1}, r"audit\.examples: expected an integer from 0"),
            ({"examples": 10**30}, r"audit\.examples: expected an integer from 0"),
            ({"examples": True}, r"audit\.examples: expected int, got bool"),
            ({"model": 3}, r"audit\.model: expected str, got int"),
            ({"layers": {}}, r"audit\.layers: expected list, got dict"),
            ({"layers": [3]}, r"layers\.0: expected a JSON object, got int"),
            ({"layers": [{"name": "x"}]}, r"layers\.0\.kind: expected str, found none"),
            ({"layers": []}, "expected tensors of 0 layers, got others too"),
            ({"threshold": 0.5}, "threshold"),
            ({"threshold": 10**400}, r"audit\.threshold: expected float, got int"),
            ({"threshold": math.nan}, "threshold"),
            ({"never_fired": [1]}, r"audit\.never_fired: expected text only"),
            ({"expected": [{}]}, r"audit\.expected: expected text only"),
            ({"versions": {"torch": None}}, r"audit\.versions: expected text only"),
            ({"annotations": {"accuracy": 10**400}}, r"annotations\['accuracy'\]: expected a finite number"),
            ({"annotations": {"a": [1]}}, r"annotations\['a'\]"),
            ({"parts": "0" * 64}, r"audit\.parts: expected a list of SHA-256 digests"),
            ({"parts": ["x" * 64]}, r"audit\.parts: expected a list of SHA-256 digests"),
            ({"parts": ["0" * 63]}, r"audit\.parts: expected a list of SHA-256 digests"),
            ({"parts": [0]}, r"audit\.parts: expected a list of SHA-256 digests"),
        ],
    )
    def test_impossible_metadata(self, saved: Path, body: dict[str, Any], message: str) -> None:
        rewrite(saved, body=body)
        with pytest.raises(ValueError, match=message):
            load(saved)

    def test_a_tensor_of_a_type_that_numpy_lacks(self, saved: Path) -> None:
        with safetensors.safe_open(saved, framework="pt") as file:
            metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tensors["layers.0.max"] = torch.zeros(4, dtype=torch.bfloat16)
        safetensors.torch.save_file(tensors, saved, metadata)
        with pytest.raises(ValueError, match=r"audit\.safetensors: .*bfloat16"):
            load(saved)

    def test_two_layers_of_one_name(self, saved: Path) -> None:
        with safetensors.safe_open(saved, framework="numpy") as file:
            layers = json.loads(file.metadata()["audit"])["layers"]
        layers[1]["name"] = layers[0]["name"]
        rewrite(saved, body={"layers": layers})
        with pytest.raises(ValueError, match=r"layers\.1\.name: expected each name once"):
            load(saved)


class TestAtomic:
    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")

        def write() -> None:
            with storage.atomic(path) as temporary:
                temporary.write_text("half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write()
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_a_save_that_fails_leaves_the_old_file(
        self, saved: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = saved.read_bytes()

        def full(audit: Audit) -> Iterator[bytes]:
            yield b"half"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(storage, "pieces", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*audit\.safetensors'"):
            audit_of(relu_arrays(1)).save(saved)
        assert saved.read_bytes() == before
        assert os.listdir(saved.parent) == [saved.name]

    def test_the_folder_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(
            FileNotFoundError, match=r"a\.txt: the folder .*missing does not exist; create it first"
        ):
            storage.write_text(tmp_path / "missing" / "a.txt", "x")

    def test_a_folder_is_not_replaced(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="expected the path of a file, got a folder or a device"):
            storage.write_text(tmp_path, "x")

    def test_a_device_is_not_replaced(self) -> None:
        with pytest.raises(ValueError, match="expected the path of a file"):
            storage.write_text(os.devnull, "x")
        assert not Path(os.devnull).is_file()

    def test_links_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to("real")
        storage.write_text(tmp_path / "link", "new")
        assert (tmp_path / "real").read_text() == "new"
        assert (tmp_path / "link").is_symlink()

    def test_permissions_are_the_users(self, tmp_path: Path) -> None:
        audit, path, plain = golden_audit(), tmp_path / "a.safetensors", tmp_path / "plain"
        plain.touch()
        audit.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
        path.chmod(0o640)
        audit.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_audit_with_thousands_of_layers(tmp_path: Path) -> None:
    arrays = {f"block.{index}": np.eye(2) for index in range(2000)}
    audit = audit_of(arrays)
    audit.save(tmp_path / "a")
    assert_same(audit, load(tmp_path / "a"))


def test_the_state_is_not_shared_with_the_layer(tmp_path: Path) -> None:
    """What is loaded can be counted on: the file may go."""
    golden_audit().save(tmp_path / "a")
    audit = load(tmp_path / "a")
    (tmp_path / "a").unlink()
    state = audit.layers["features.0"].state
    state.update(np.ones((1, 4)))
    assert state.examples == 3
    assert layer_audit("x", state).dead == 0
