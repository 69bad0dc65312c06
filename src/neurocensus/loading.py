"""Objects that a user names by ``package.module:factory`` or ``path/to/file.py:factory``."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


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
    if not (inspect.isroutine(found) or inspect.isclass(found) or isinstance(found, functools.partial)):
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
    except (Exception, SystemExit) as error:
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
        raise TypeError(f"model: expected a torch.nn.Module from {spec!r}, got {_kind(model)}{hint}")
    return model


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
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    ]
    return f"it has: {', '.join(sorted(own))}" if own else "it defines no public function or class"


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__qualname__}, not an instance"
    return "None" if value is None else type(value).__qualname__
