"""Files of weights: loaded whole or not at all, and never unpickled."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from neurocensus.weights import load_tensors, load_weights, read_weights


def write_npz(tensors: dict[str, Tensor], path: Path) -> None:
    np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})


SAVERS: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "w.safetensors": save_file,
    "w.npz": write_npz,
    "w.pt": torch.save,
    "w.bin": lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
}


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


NAMES = st.sets(st.sampled_from(["a", "b", "c.weight", "c.bias", "module", "d"]), min_size=1)
SHAPES = st.sampled_from([(), (1,), (2,), (2, 3)])
STATE = NAMES.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(sorted(names), SHAPES)))


class Named(nn.Module):
    """A module with parameters of any name and shape."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            *path, last = name.split(".")
            owner: nn.Module = self
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, nn.Module())
                owner = getattr(owner, part)
            owner.register_parameter(last, nn.Parameter(torch.zeros(shape)))


@given(theirs=STATE, ours=STATE, kind=st.sampled_from(sorted(SAVERS)))
def test_weights_load_whole_or_not_at_all(
    theirs: dict[str, tuple[int, ...]], ours: dict[str, tuple[int, ...]], kind: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """Every difference is named; a model that weights do not fit keeps its own."""
    path = tmp_path_factory.mktemp("weights") / kind
    SAVERS[kind]({name: torch.ones(shape) for name, shape in theirs.items()}, path)
    model = Named(ours)
    differing = [n for n in theirs.keys() | ours.keys() if theirs.get(n) != ours.get(n)]
    if differing:
        with pytest.raises(ValueError, match="does not fit") as caught:
            load_weights(model, path)
        listed = [line.split()[0].rstrip(":") for line in str(caught.value).splitlines() if line[:2] == "  "]
        assert sorted(listed) == sorted(differing)
        assert all((tensor == 0).all() for tensor in model.state_dict().values())
    else:
        load_weights(model, path)
        assert all((tensor == 1).all() for tensor in model.state_dict().values())


@given(theirs=STATE, ours=STATE)
def test_partial_weights_may_lack_names_and_nothing_else(
    theirs: dict[str, tuple[int, ...]], ours: dict[str, tuple[int, ...]]
) -> None:
    model, tensors = Named(ours), {name: torch.ones(shape) for name, shape in theirs.items()}
    if theirs.items() <= ours.items():
        notes = load_tensors(model, tensors, "a file", partial=True)
        assert all((tensor == float(name in theirs)).all() for name, tensor in model.state_dict().items())
        lacking = len(ours) - len(theirs)
        assert [f"{lacking} of {len(ours)} tensors are not in a file" in note for note in notes] == (
            [True] if lacking else []
        )
    else:
        with pytest.raises(ValueError, match="weights: a file does not fit the model") as caught:
            load_tensors(model, tensors, "a file", partial=True)
        assert "missing" not in str(caught.value)
        assert not any(tensor.any() for tensor in model.state_dict().values())


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_training_checkpoint_from_data_parallel(tmp_path: Path, key: str) -> None:
    """Pitfall 8: names are the user's, whatever wrapped the model."""
    source, target = net(), net()
    inner = {f"module._orig_mod.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"epoch": 3, "loss": torch.tensor(0.1), key: inner}, tmp_path / "c.ckpt")
    notes = load_weights(target, tmp_path / "c.ckpt")
    assert torch.equal(target[0].weight, source[0].weight)
    assert [note for note in notes if "'module.'" in note]
    assert [note for note in notes if "'_orig_mod.'" in note]


def test_a_prefix_that_is_the_models_own_stays(tmp_path: Path) -> None:
    model = nn.ModuleDict({"module": nn.Linear(2, 2)})
    torch.save(model.state_dict(), tmp_path / "w.pt")
    assert load_weights(model, tmp_path / "w.pt") == []


def test_half_precision_is_converted_and_said(tmp_path: Path) -> None:
    model, path = nn.Linear(2, 2), tmp_path / "w.npz"
    write_npz({name: tensor.half() for name, tensor in model.state_dict().items()}, path)
    assert load_weights(model, path) == ["weights converted from float16 to the model's float32"]
    assert model.weight.dtype == torch.float32


FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


@pytest.mark.parametrize("name", FLOATS)
def test_floats_of_any_precision_are_converted(tmp_path: Path, name: str) -> None:
    model, other = net(), net()
    save_file({key: t.to(FLOATS[name]) for key, t in other.state_dict().items()}, tmp_path / "w.safetensors")
    assert load_weights(model, tmp_path / "w.safetensors") == [
        f"weights converted from {name} to the model's float32"
    ]
    torch.testing.assert_close(model[0].weight, other[0].weight, rtol=1e-2, atol=0)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_what_is_no_float_is_refused_where_the_model_has_floats(tmp_path: Path, dtype: torch.dtype) -> None:
    """Quantised weights, most of all: without their scales they are other numbers."""
    model, tensors = net(), net().state_dict()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    tensors["2.weight"] = tensors["2.weight"].mul(9).to(dtype)
    save_file(tensors, tmp_path / "w.safetensors")
    kind = str(dtype).removeprefix("torch.")
    words = f"(?s)1 of 4 tensors in another kind of .*\n  2.weight: {kind}\nQuantised weights .* as floats"
    with pytest.raises(ValueError, match=words):
        load_weights(model, tmp_path / "w.safetensors")
    assert all(map(torch.equal, before, model.state_dict().values()))


def test_integers_of_the_model_may_be_integers_of_any_kind(tmp_path: Path) -> None:
    model = nn.BatchNorm1d(2)
    model.register_buffer("mask", torch.tensor([True, False]))
    tensors = model.state_dict() | {
        "num_batches_tracked": torch.tensor(7.0),
        "mask": torch.tensor([0, 1], dtype=torch.uint8),
    }
    write_npz(tensors, tmp_path / "w.npz")
    load_weights(model, tmp_path / "w.npz")
    assert model.num_batches_tracked.item() == 7
    assert model.num_batches_tracked.dtype == torch.int64
    assert model.mask.tolist() == [False, True]


@given(
    bad=st.dictionaries(st.sampled_from(["0.weight", "0.bias", "2.running_var"]), st.integers(1, 4)),
    value=st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.float64]),
)
def test_values_that_are_not_finite_are_refused(
    bad: dict[str, int], value: float, dtype: torch.dtype, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whichever tensors, however many: all are counted, and none is loaded."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4))
    tensors = {name: torch.full_like(t, 2, dtype=dtype) for name, t in model.state_dict().items()}
    for name, count in bad.items():
        tensors[name].flatten()[:count] = value
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    write_npz(tensors, path)
    if bad:
        with pytest.raises(ValueError, match="earlier checkpoint") as caught:
            load_weights(model, path)
        words = str(caught.value)
        assert f"{path} holds NaN or infinite values in {len(bad)} of 7 tensors:\n" in words
        listed = dict(line.strip().split(": ") for line in words.splitlines() if line[:2] == "  ")
        assert listed == {name: f"{count} of {tensors[name].numel()}" for name, count in bad.items()}
        assert not any((tensor == 2).all() for tensor in model.state_dict().values())
    else:
        load_weights(model, path)


def test_values_that_become_infinite_in_the_models_precision_are_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 1).half()
    torch.save({"weight": torch.tensor([[1.0, 1e5]]), "bias": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="weight: 1 of 2"):
        load_weights(model, tmp_path / "w.pt")


def test_a_buffer_may_be_infinite_where_the_models_is(tmp_path: Path) -> None:
    """Masks of attention are of minus infinity."""
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.full((2, 2), -float("inf")).triu(1))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    assert load_weights(model, tmp_path / "w.pt") == []
    torch.save(model.state_dict() | {"mask": model.mask.T}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="mask: 1 of 4"):
        load_weights(model, tmp_path / "w.pt")


def test_tied_weights_and_old_batch_norm_counters_are_not_missed(tmp_path: Path) -> None:
    """safetensors keeps one of two names that share memory."""
    first, second, norm = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2)
    second.weight = first.weight
    model = nn.Sequential(first, second, norm)
    tensors = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    del tensors["1.weight"], tensors["2.num_batches_tracked"]
    save_file(tensors, tmp_path / "w.safetensors")
    before = first.weight.detach().clone()
    load_weights(model, tmp_path / "w.safetensors")
    assert torch.equal(second.weight, before + 1)


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("no_weights_only", ["", "1"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "npz", "npy inside"])
def test_pickled_code_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, no_weights_only: str,
    recwarn: pytest.WarningsRecorder,
) -> None:  # fmt: skip
    """Not even where the environment asks torch to unpickle."""
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    if no_weights_only:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", no_weights_only)
        warnings.simplefilter("always")  # torch says that it pays no heed to the variable
    path = tmp_path / ("w.npz" if "np" in kind else "w.pt")
    content = {"state_dict": {"a": torch.ones(1)}, "bomb": Bomb()}
    if kind in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        np.savez(path, a=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match=r"refused") as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"state_dict\(\)") as caught:
        read_weights(tmp_path / "w.pt")
    assert "torch.nn.modules" in str(caught.value)


@pytest.mark.parametrize("kind", sorted(SAVERS))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_said_to_be_one(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / kind
    SAVERS[kind]({"a": torch.ones(1000), "b": torch.ones(3)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="weights") as caught:
        read_weights(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, ["'epoch', 'optimizer'"]),
        ({}, ["a mapping of nothing"]),
        (torch.ones(3), ["got Tensor"]),
    ],
)
def test_a_checkpoint_without_a_state_dict(tmp_path: Path, content: object, words: list[str]) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="no state dict") as caught:
        read_weights(tmp_path / "w.pt")
    assert all(word in str(caught.value) for word in words)


def test_missing_files_and_arrays_of_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError, match="weights: expected a file, got the folder"):
        read_weights(tmp_path)
    np.savez(tmp_path / "w.npz", a=np.array(["text"]))
    with pytest.raises(ValueError, match="no real numbers"):
        read_weights(tmp_path / "w.npz")
