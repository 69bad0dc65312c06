"""Files of weights: read, checked against the model, loaded whole or not at all.

Nothing is ever unpickled: torch checkpoints are opened with ``weights_only=True``, arrays with
``allow_pickle=False``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

# What wrappers put before every name: DataParallel and DistributedDataParallel, torch.compile.
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
# Keys under which training scripts keep the state dict, beside the optimizer's and the epoch.
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")


class Misfit(ValueError):
    """Weights whose names or shapes are not the model's."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors``, ``.npz`` or a torch checkpoint, on the CPU.

    A checkpoint may be the state dict itself or hold it under one of `STATE_DICT_KEYS`.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder.
        ValueError: corrupt, truncated, without a state dict, or holding pickled objects, which are
            refused: loading them would run code from the file.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"weights: expected a file, got the folder {path}; give the file in it")
    if not path.is_file():
        raise FileNotFoundError(f"weights: no such file: {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    return _read_checkpoint(path)


def load_weights(model: nn.Module, path: str | Path) -> list[str]:
    """Load weights of a file into ``model``, all of them or none.

    Returns:
        Notes for the user: prefixes removed, dtypes converted.

    Raises:
        ValueError: see `load_tensors`.
        Also everything `read_weights` raises.
    """
    weights, notes = strip_prefixes(read_weights(path), model.state_dict())
    return notes + load_tensors(model, weights, str(path))


def load_tensors(
    model: nn.Module, weights: Mapping[str, Tensor], source: str, *, partial: bool = False
) -> list[str]:
    """Load tensors by name into ``model``, all of them or none.

    They take the model's dtypes: half, single and double precision convert into each other. Integers in the
    place of floats are refused, since quantised weights mean nothing without their scales.

    Args:
        source: where they are from, for errors.
        partial: whether some may be missing; the model keeps its own there.

    Returns:
        Notes for the user: dtypes converted, tensors kept.

    Raises:
        Misfit: names missing or unexpected, shapes that differ (how many, and the first).
        ValueError: numbers of another kind than the model's, NaN or infinite ones (which are what a training
            that diverged leaves, and no finite audit can come of).
    """
    from torch.nn.parameter import is_lazy

    expected: dict[str, Tensor] = model.state_dict()
    address = {n: 0 if is_lazy(t) else t.data_ptr() for n, t in expected.items()}
    stored = {address[name] for name in expected if name in weights and address[name]}
    missing = [
        name
        for name in expected
        if name not in weights
        and address[name] not in stored  # tied to a tensor that is there
        and not name.endswith("num_batches_tracked")  # counts training steps; old files lack it
    ]
    unexpected = [name for name in weights if name not in expected]
    shapes = [
        f"{name}: the model has {tuple(expected[name].shape)}, the file {tuple(weights[name].shape)}"
        for name in expected
        if name in weights and not is_lazy(expected[name]) and expected[name].shape != weights[name].shape
    ]
    problems = [
        f"{len(names)} {title}:\n{_listed(names)}"
        for title, names in (
            ("missing from the file", [] if partial else missing),
            ("not in the model", unexpected),
            ("of another shape", shapes),
        )
        if names
    ]
    if problems:
        raise Misfit(
            f"weights: {source} does not fit the model ({len(expected)} tensors).\n" + "\n".join(problems)
        )

    _check_kinds(expected, weights, source)
    _check_finite(model, weights, source)
    notes = sorted(
        {
            f"weights converted from {_dtype(weights[name])} to the model's {_dtype(expected[name])}"
            for name in weights
            if weights[name].dtype != expected[name].dtype
        }
    )
    if missing:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        notes.append(
            f"{len(missing)} of {len(expected)} tensors are not in {source} and stay as they were: {first}"
        )
    model.load_state_dict(weights, strict=False)
    return notes


def _check_kinds(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str) -> None:
    """Raise for floats of the model that are something else in the file."""
    import torch

    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    wrong = [
        f"{name}: {_dtype(tensor)}"
        for name, tensor in weights.items()
        if expected[name].dtype in floats and tensor.dtype not in floats
    ]
    if wrong:
        raise ValueError(
            f"weights: {source} holds {len(wrong)} of {len(weights)} tensors in another kind of numbers than "
            f"the model's floats:\n{_listed(wrong)}\nQuantised weights mean nothing without their scales; "
            "save them as floats (dequantised) first"
        )


def _check_finite(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Raise for values that are NaN or infinite, or would be in the model's dtype.

    A buffer may hold such where the model's own does: masks of attention are of -inf.
    """
    from torch.nn.parameter import is_lazy

    expected: dict[str, Tensor] = model.state_dict()
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    wrong = []
    for name, tensor in weights.items():
        own = expected[name]
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        bad = ~(tensor.to(own.dtype) if own.is_floating_point() else tensor).isfinite()
        if bad.any() and not (name in parameters or is_lazy(own)):
            bad &= own.to(bad.device).isfinite()
        if bad.any():
            wrong.append(f"{name}: {int(bad.sum())} of {bad.numel()}")
    if wrong:
        raise ValueError(
            f"weights: {source} holds NaN or infinite values in {len(wrong)} of {len(weights)} tensors:\n"
            f"{_listed(wrong)}\nThe training diverged, or the file is damaged; take an earlier checkpoint"
        )


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _listed(names: Iterable[str], limit: int = 10) -> str:
    names = list(names)
    rest = [f"... and {len(names) - limit} more"] if len(names) > limit else []
    return "\n".join(f"  {line}" for line in names[:limit] + rest)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"weights: {path} is not a readable safetensors file: {error}") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    import torch

    from .data.arrays import read_npz

    arrays = read_npz(path, "weights")
    wrong = [f"{name}: {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    if wrong:
        raise ValueError(f"weights: {path} holds arrays that are no real numbers:\n{_listed(wrong)}")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()
        found = next((line for line in reason if "GLOBAL" in line or "Unsupported" in line), reason[0])
        raise ValueError(
            f"weights: {path} holds more than tensors and was refused: loading it could run code from the "
            f"file.\n  {found.strip()}\nIf you trust where it comes from, load it yourself and save the "
            "tensors alone: torch.save(model.state_dict(), path), or as safetensors."
        ) from error
    except Exception as error:  # torch raises what its zip reader, its tar reader or struct raises
        raise ValueError(
            f"weights: {path} is not a readable torch checkpoint (corrupt or truncated?): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    return _find_state_dict(content, path)


def _find_state_dict(content: object, path: Path) -> dict[str, Tensor]:
    import torch

    if isinstance(content, Mapping):
        # The inner ones first: beside one, the top may hold a tensor too, a loss for example.
        for inner in (*(content.get(key) for key in STATE_DICT_KEYS), content):
            if isinstance(inner, Mapping) and any(isinstance(v, torch.Tensor) for v in inner.values()):
                return {str(k): v for k, v in inner.items() if isinstance(v, torch.Tensor)}
    names = ", ".join(map(repr, content)) if isinstance(content, Mapping) else ""
    found = f"a mapping of {names or 'nothing'}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        f"weights: no state dict in {path}: expected tensors by name, at the top or under "
        f"{', '.join(map(repr, STATE_DICT_KEYS))}; got {found}"
    )


def strip_prefixes(
    weights: dict[str, Tensor], expected: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """`weights` without the prefixes that wrappers put before all names, unless the model has them too.

    Returns:
        The weights, and notes for the user.
    """
    notes = []
    for _ in WRAPPER_PREFIXES:  # wrappers nest in either order
        for prefix in WRAPPER_PREFIXES:
            wrapped = bool(weights) and all(name.startswith(prefix) for name in weights)
            if wrapped and not any(name.startswith(prefix) for name in expected):
                weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
                notes.append(f"prefix {prefix!r} removed from the names of the weights")
    return weights, notes
