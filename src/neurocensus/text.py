"""Numbers and names as people read them: one style for the terminal, the plots and the reports."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence

NOT_AVAILABLE = "n/a"


def count(number: int) -> str:
    """``9217`` as ``"9,217"``."""
    return f"{number:,}"


def percent(share: float) -> str:
    """A share as a percentage with three digits: ``0.0002157`` is ``"0.0216 %"``.

    Digits are added where three would round to 0 or 100 what is neither. NaN is ``"n/a"``.
    """
    if math.isnan(share):
        return NOT_AVAILABLE
    value = 100 * share
    text = f"{value:.3g}"
    if share < 1 and float(text) == 100:
        text = f"{math.floor(value * 1000) / 1000:.3f}" if value < 99.9995 else "> 99.999"
    return f"{text} %"


def real(value: float) -> str:
    """A number with at least three significant digits, thousands written out; NaN is ``"n/a"``."""
    if math.isnan(value):
        return NOT_AVAILABLE
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"


def plural(number: int, noun: str) -> str:
    """``plural(1, "unit")`` is ``"1 unit"``, ``plural(2, "unit")`` is ``"2 units"``."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def printable(name: str) -> str:
    """A name on one line, with control characters (and so terminal escapes) spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def shorten(name: str, width: int) -> str:
    """A name in at most `width` characters: an ellipsis takes the place of its middle.

    Dotted module paths differ at their ends, so the end gets the larger part.
    """
    if len(name) <= width:
        return name
    head = (width - 1) // 3
    return f"{name[:head].rstrip('.')}…{name[len(name) - (width - 1 - head) :].lstrip('.')}"


def shorten_all(names: Sequence[str], width: int) -> list[str]:
    """Names on one line each, in about `width` characters, and different where the names are.

    What all long dotted paths begin with goes first, then their middles. Where that makes two alike, what
    they all end with goes before the middles; where that does too, the names are numbered.
    """
    lines = [printable(name) for name in names]
    long = [line for line in lines if len(line) > width]
    start = _common(long).rfind(".") + 1
    end = _common([line[:start:-1] for line in long]).rfind(".") + 1
    for tail in (0, end):
        cut = [
            ("…" if start else "") + line[start : len(line) - tail] + ("…" if tail else "")
            if len(line) > width
            else line
            for line in lines
        ]
        short = [shorten(line, width) for line in cut]
        if len(set(short)) == len(set(lines)):
            return short
    return [f"{number} {line}" for number, line in enumerate(short, 1)]


def _common(names: Sequence[str]) -> str:
    """What all of at least two names begin with."""
    return os.path.commonprefix(names) if len(names) > 1 else ""  # noqa: RUF071 - any text, not file paths


def enumerate_names(names: Sequence[str], limit: int = 5) -> str:
    """The first `limit` names, quoted, and how many more there are."""
    shown = ", ".join(f"'{printable(name)}'" for name in names[:limit])
    rest = len(names) - limit
    return f"{shown} and {count(rest)} more" if rest > 0 else shown


def file_name(name: str) -> str:
    """A name as part of a file's, in one folder on any system: letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^\w-]+", "-", name)
