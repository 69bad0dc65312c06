"""HTML pages that need nothing else: numbers, pictures, tables, provenance.

Pictures are embedded, nothing is fetched, every name is escaped (Jinja's autoescape), and a content
security policy in the page forbids scripts.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from . import storage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144


@dataclass(frozen=True)
class Drawing:
    """A figure as PNG; `width` in CSS pixels."""

    png: bytes
    width: int


@dataclass(frozen=True)
class Number:
    """A headline number."""

    label: str
    value: str
    reading: str


@dataclass(frozen=True)
class Picture:
    """An embedded plot; `width` in CSS pixels."""

    title: str
    reading: str
    png: str
    width: int


@dataclass(frozen=True)
class Table:
    """A table; the first `left` columns are text, the others numbers."""

    title: str
    reading: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    title: str
    subtitle: str
    warnings: Sequence[str]
    numbers: Sequence[Number]
    pictures: Sequence[Picture]
    tables: Sequence[Table]
    provenance: Sequence[tuple[str, str]]


def draw(figure: Figure) -> Drawing:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return Drawing(buffer.getvalue(), round(96 * figure.get_figwidth()))


def picture(title: str, reading: str, drawing: Drawing) -> Picture:
    """A drawing with what to say of it."""
    return Picture(title, reading, base64.b64encode(drawing.png).decode("ascii"), drawing.width)


def render(page: Page) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neurocensus"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(page=page)


def write_files(directory: str | os.PathLike[str], files: Mapping[str, bytes | str]) -> list[Path]:
    """Write files into a folder, made where it is missing, and return the paths. All files or none."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:  # all are written before the first takes its place
        for name, content in files.items():
            data = content.encode("utf-8", "replace") if isinstance(content, str) else content
            stack.enter_context(storage.atomic(folder / name)).write_bytes(data)
    return [folder / name for name in files]
