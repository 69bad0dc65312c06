"""What options say, from text to values."""

from __future__ import annotations

import re

from ..selection import KEYWORDS


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``"150"`` and ``"120x160"`` as (height, width).

    Raises:
        ValueError: something else.
    """
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and (width or height).isdecimal() and int(height) and int(width or height)):
        raise ValueError(
            f"--image-size: expected a size such as 150 or 120x160 (height x width), got {text!r}"
        )
    return int(height), int(width or height)


def parse_numbers(name: str, text: str | None) -> list[float] | None:
    """``"0.5,0.4,0.3"`` as numbers.

    Raises:
        ValueError: something else.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--{name}: expected numbers between commas, such as 0.5,0.4,0.3, got {text!r}"
        ) from None


def parse_layers(wanted: list[str], modules: set[str]) -> str | list[str] | re.Pattern[str]:
    """What ``--layers`` asks for, as `neurocensus.audit` takes it.

    A module's name, and whatever else could be one (letters, digits, dots), is taken for a name, so that a
    misspelled one is an error. The rest are regular expressions.

    Raises:
        ValueError: not a regular expression.
    """
    if len(wanted) == 1 and wanted[0] in KEYWORDS:
        return wanted[0]
    names = [text for text in wanted if text in modules or re.fullmatch(r"[\w.]+(:\d+)?", text)]
    if names == wanted:
        return names
    try:
        for text in wanted:
            re.compile(text)
    except re.error as error:
        raise ValueError(f"--layers: {text!r} is not a regular expression: {error}") from error
    return re.compile("|".join(f"^{re.escape(text)}$" if text in names else f"(?:{text})" for text in wanted))


def check_device(device: str) -> None:
    """Raise before the work, if nothing can be put there.

    Raises:
        ValueError: no such device here.
    """
    from ..devices import available

    available(device, "--device")
