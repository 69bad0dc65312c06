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
        ValueError: a name that is not among them, or nothing chosen.
    """
    if isinstance(layers, str) and layers == "activations":
        return list(names)
    if isinstance(layers, re.Pattern):
        wanted = {name for name in names if layers.search(name)}
    elif isinstance(layers, Iterable) and not isinstance(layers, (str, bytes)):
        wanted = set(layers)
    else:
        raise TypeError(
            "layers: expected 'activations', a list of names or a compiled regular expression for a network "
            f"of arrays, got {layers!r}"
        )
    for name in wanted.difference(names):
        raise unknown(name, names, names)
    if not wanted:
        raise ValueError(f"layers: expected at least one of {', '.join(names)}, got {layers!r}")
    return [name for name in names if name in wanted]
