"""``layers=`` for networks of arrays, whose layers are the names that ``activations`` gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..selection import unknown


def chosen(layers: Any, names: Sequence[str]) -> list[str]:
    """Those of `names` that `layers` takes, in their order.

    Args:
        layers: "activations" (all), a list of names, or a compiled regular expression to be searched in them.

    Raises:
        TypeError: `layers` is none of these.
        ValueError: another text, a name that is not among them, or nothing chosen.
    """
    if isinstance(layers, re.Pattern):
        wanted = [name for name in names if layers.search(name)]
    elif isinstance(layers, str) and layers == "activations":
        return list(names)
    elif isinstance(layers, str) or not isinstance(layers, Iterable):
        error = ValueError if isinstance(layers, str) else TypeError
        raise error(
            "layers: expected 'activations', a list of names or a compiled regular expression for a network "
            f"of arrays, got {layers!r}"
        )
    else:
        wanted = list(layers)
    for name in wanted:
        if not isinstance(name, str):
            raise TypeError(f"layers: expected names (str), got {type(name).__name__} in the list")
        if name not in names:
            raise unknown(name, names, names)
    if not wanted:
        listed = ", ".join(names)
        raise ValueError(f"layers: expected at least one of {listed}, got {layers!r}, which chooses none")
    return [name for name in names if name in wanted]
