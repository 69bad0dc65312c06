"""Models and weights that a user names: ``module:factory``, ``file.py:factory``, files of tensors.

Python named by the user is run; files of weights are only read. Nothing is ever unpickled: torch
checkpoints are opened with ``weights_only=True``, arrays with ``allow_pickle=False``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

# What wrappers put before every name: DataParallel and DistributedDataParallel, torch.compile.
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
# Keys under which training scripts keep the state dict, beside the optimizer's and the epoch.
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")


def load_object(spec: str, what: str = "object") -> Any:
    """Import what ``package.module:name`` or ``path/to/file.py:name`` names; call nothing.

    The folder of the file (or the working directory, for a module) joins ``sys.path``, so that
    imports inside work as they do under ``python file.py``.

    Args:
        spec: the name; after the colon it may be dotted (``Class.method``).
        what: what is asked for, used in messages.

    Raises:
        ValueError: no colon, or nothing of that name (the message lists what there is).
        FileNotFoundError: no such file or module.
        RuntimeError: the module raised while it was imported.
    """
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise ValueError(
            f"{what}: expected 'package.module:factory' or 'path/to/file.py:factory', got {spec!r}; "
            "write the name of the factory after a colon"
        )
    module = _import_file(Path(source), what) if source.endswith(".py") else _import_module(source, what)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{what}: no {name!r} in {source}; {_offer(module)}")
        found = getattr(found, part)
    return found


def make(spec: str, what: str = "factory") -> Any:
    """The object that ``spec`` names, or what it returns if it is a function or a class.

    Raises:
        TypeError: the factory needs arguments.
        RuntimeError: the factory raised; the message shows the error and where it was raised.
        Also everything `load_object` raises.
    """
    found = load_object(spec, what)
    if not (inspect.isroutine(found) or inspect.isclass(found)):
        return found
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise TypeError(
            f"{what}: {spec!r} is called without arguments, but {error}; "
            "name a function that needs none and calls it as you wish"
        ) from None
    except ValueError:  # a builtin without a signature: call it and see
        pass
    try:
        return found()
    except Exception as error:
        raise RuntimeError(f"{what}: {spec!r} raised {_describe(error)}") from error


def load_model(spec: str) -> nn.Module:
    """The ``torch.nn.Module`` that ``spec`` names, as an instance, a class or a factory.

    Raises:
        TypeError: it is, or returns, something else.
        Also everything `make` raises.
    """
    from torch import nn

    model = make(spec, "model")
    if not isinstance(model, nn.Module):
        hint = "; is the 'return' missing?" if model is None else ""
        raise TypeError(
            f"model: expected a torch.nn.Module from {spec!r}, got {_kind(model)}{hint}"
        )
    return model


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
    from torch.nn.parameter import is_lazy

    expected: dict[str, Tensor] = model.state_dict()
    weights, notes = _strip_prefixes(read_weights(path), expected)

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
        for name in expected.keys() & weights.keys()
        if not is_lazy(expected[name]) and expected[name].shape != weights[name].shape
    ]
    problems = [
        f"{len(names)} {title}:\n{_listed(names)}"
        for title, names in (
            ("missing from the file", missing),
            ("not in the model", unexpected),
            ("of another shape", sorted(shapes)),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f"weights: {path} does not fit the model ({len(expected)} tensors).\n" + "\n".join(problems)
        )

    pairs = {(w.dtype, expected[n].dtype) for n, w in weights.items() if w.dtype != expected[n].dtype}
    notes += [f"weights converted from {_dtype(a)} to the model's {_dtype(b)}" for a, b in sorted(pairs, key=str)]
    model.load_state_dict(weights, strict=False)
    return notes


def _import_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"{what}: no such file: {path}")
    path = path.resolve()
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    # Workers started by spawn import the module by its name, so keep the plain one where it is free.
    name = path.stem if loaded is None else f"{path.stem}_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a path that ends in .py always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _join_path(path.parent)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RuntimeError(f"{what}: importing {path.name} raised {_describe(error)}") from error
    return module


def _import_module(name: str, what: str) -> ModuleType:
    _join_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise FileNotFoundError(
                f"{what}: no module {error.name!r}; give an installed module, one below the working "
                "directory, or the path of a file that ends in .py"
            ) from None
        raise RuntimeError(f"{what}: importing {name} raised {_describe(error)}") from error
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"{what}: importing {name!r} raised {_describe(error)}") from error


def _join_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _offer(module: ModuleType) -> str:
    """What a module has to offer: the callables that are its own, not those it imported."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    return f"it has: {', '.join(sorted(own))}" if own else "it defines no public function or class"


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__qualname__


def _dtype(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


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
            f"weights: {path} holds more than tensors and was refused, unread: loading it could run code "
            f"from the file.\n  {found.strip()}\n"
            "Where you trust its origin, save the tensors alone: torch.save(model.state_dict(), path), or as safetensors."
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
    found = f"a mapping of {', '.join(map(repr, content))}" if isinstance(content, Mapping) else _kind(content)
    raise ValueError(
        f"weights: no state dict in {path}: expected tensors by name, at the top or under "
        f"{', '.join(map(repr, STATE_DICT_KEYS))}; got {found or 'an empty mapping'}"
    )


def _strip_prefixes(
    weights: dict[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    notes = []
    for _ in WRAPPER_PREFIXES:  # wrappers nest in either order
        for prefix in WRAPPER_PREFIXES:
            wrapped = bool(weights) and all(name.startswith(prefix) for name in weights)
            if wrapped and not any(name.startswith(prefix) for name in expected):
                weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
                notes.append(f"prefix {prefix!r} removed from the names of the weights")
    return weights, notes
