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


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors``, ``.npz`` or a torch checkpoint, on the CPU.

    A checkpoint may be the state dict itself or hold it under one of `STATE_DICT_KEYS`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: corrupt, truncated, without a state dict, or holding pickled objects, which are
            refused: loading them would run code from the file.
    """
    path = Path(path)
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
        ValueError: names missing or unexpected, shapes that differ (all listed).
        Also everything `read_weights` raises.
    """
    weights, notes = strip_prefixes(read_weights(path), model.state_dict())
    return notes + load_tensors(model, weights, str(path))


def load_tensors(
    model: nn.Module, weights: Mapping[str, Tensor], source: str, *, partial: bool = False
) -> list[str]:
    """Load tensors by name into ``model``, all of them or none.

    Args:
        source: where they are from, for errors.
        partial: whether some may be missing; the model keeps its own there.

    Returns:
        Notes for the user: dtypes converted, tensors kept.

    Raises:
        ValueError: names missing or unexpected, shapes that differ (how many, and the first).
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
        raise ValueError(
            f"weights: {source} does not fit the model ({len(expected)} tensors).\n" + "\n".join(problems)
        )

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
