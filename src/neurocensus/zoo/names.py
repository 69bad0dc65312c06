"""The error for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(argument: str, got: object, valid: Iterable[str]) -> ValueError:
    """All the names there are, and the closest."""
    names = list(valid)
    close = difflib.get_close_matches(str(got), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return ValueError(f"{argument}: expected one of {', '.join(names)}; got {got!r}{hint}")
