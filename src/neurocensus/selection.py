"""Which audit points the user wants: the meanings of `layers`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import nn

Layers: TypeAlias = "str | re.Pattern[str] | Sequence[str] | Callable[[str, nn.Module], bool]"

PUBLISHED = "published"
KEYWORDS = ("activations", PUBLISHED, "modules")


def audited_whole(layers: Layers, module: nn.Module) -> bool:
    """Whether `layers` takes `module` as one layer with nothing inside it: what it says of itself.

    As the thesis counts a pre-trained network: one layer of as many units as it has features.
    """
    return isinstance(layers, str) and layers == PUBLISHED and getattr(module, "audited_whole", False) is True


@dataclass(frozen=True)
class Selection:
    """A choice of audit points, made once for a model.

    rule: follow the data to find activations and the layers without one after them.
    strict: the user named each point, so that one which cannot be counted is an error, not a gap.
    modules: names of the modules whose output is wanted (not used by `rule`).
    function: whether the functional point of this name (without ``:k``) is wanted; None: none is.
    calls: whether the point of this full name is wanted; `relu` selects `relu:2` too, but not the reverse.
    expected: names that the user or the model leads to expect, before any forward.
    """

    rule: bool
    strict: bool
    modules: frozenset[str]
    function: Callable[[str], bool] | None
    calls: Callable[[str], bool]
    expected: tuple[str, ...]


def select(
    layers: Layers,
    modules: Mapping[str, nn.Module],
    leaves: Iterable[str],
    functions: Iterable[str],
    root: str,
) -> Selection:
    """Resolve `layers` for a model.

    Args:
        layers: "activations" (the rule of `Selection.rule`), "published" (the same rule, where modules that
            are `audited_whole` are one layer each), "modules" (outputs of all leaf modules), a list of names
            (modules, containers too, or functions as ``<module>.<function>``), a compiled regular expression
            (searched in those names), or a predicate ``(name, module) -> bool`` over all modules.
        modules: name to module, containers too, the root under its class name.
        leaves: names of the leaf modules.
        functions: the function names that can be a point's last part.
        root: the root's name in `modules`.

    Raises:
        TypeError: `layers` is none of the above.
        ValueError: a name that cannot exist, or a choice of nothing; lists the valid names.
    """
    if isinstance(layers, str):
        if layers in ("activations", PUBLISHED):
            return Selection(True, False, frozenset(), _yes, _yes, ())
        if layers == "modules":
            names = tuple(leaves)
            return Selection(False, False, frozenset(names), None, _yes, names)
        raise ValueError(
            f"layers: expected 'activations', 'published' or 'modules', got the string {layers!r}; "
            f"for one layer by name give a list, [{layers!r}], for a pattern re.compile({layers!r})"
        )
    if isinstance(layers, re.Pattern):
        names = tuple(name for name in modules if name != root and layers.search(name))
        return Selection(False, False, frozenset(names), _matches(layers), _yes, names)
    if callable(layers):
        names = tuple(name for name, module in modules.items() if layers(name, module))
        if not names:
            raise ValueError(f"layers: the predicate chose none of the modules. {_listing(modules)}")
        return Selection(False, False, frozenset(names), None, _yes, names)
    if isinstance(layers, Iterable):
        return _select_names(list(layers), modules, frozenset(functions), root)
    raise TypeError(
        "layers: expected 'activations', 'published', 'modules', a list of names, a compiled regular "
        f"expression or a predicate (name, module) -> bool, got {type(layers).__name__}"
    )


def _select_names(
    names: list[str], modules: Mapping[str, nn.Module], functions: frozenset[str], root: str
) -> Selection:
    if not names:
        raise ValueError(f"layers: expected at least one name, got an empty list. {_listing(modules)}")
    chosen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"layers: expected names (str), got {type(name).__name__} in the list")
        check_name(name, modules, functions, "layers")
        chosen.update({name, _base(name)} & modules.keys())
    wanted = frozenset(names)
    return Selection(
        rule=False,
        strict=True,
        modules=frozenset(chosen),
        function=frozenset(_base(name) for name in names).__contains__,
        calls=lambda name: name in wanted or _base(name) in wanted,
        expected=tuple(dict.fromkeys(names)),
    )


def check_name(
    name: str, modules: Mapping[str, nn.Module], functions: Collection[str], argument: str
) -> None:
    """Raise ValueError, naming `argument`, for the name of a layer that the model cannot have."""
    base = name if name in modules else _base(name)
    path, _, function = base.rpartition(".")
    if base not in modules and not (function in functions and (path in modules or path == "")):
        candidates = [*modules, *sorted(f"{path}.{f}" if path else f for f in functions)]
        raise unknown(name, candidates, modules, argument)


def unknown(
    name: str, candidates: Iterable[str], valid: Iterable[str], argument: str = "layers"
) -> ValueError:
    """The error for a layer name that does not exist: the closest candidates first, then the valid names."""
    close = difflib.get_close_matches(name, dict.fromkeys(candidates), n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return ValueError(f"{argument}: the model has no layer {name!r}.{hint} {_listing(valid)}")


def _listing(valid: Iterable[str], limit: int = 200) -> str:
    names = list(valid)
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return (
        f"Valid names: {', '.join(names[:limit])}{more}; "
        "a functional activation is <module name>.<function>, such as 'features.relu'"
    )


def _base(name: str) -> str:
    """`name` without the suffix of a later call, ``:k``."""
    base, colon, k = name.rpartition(":")
    return base if colon and k.isdigit() else name


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda name: pattern.search(name) is not None


def _yes(_: str) -> bool:
    return True
