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
from PIL import Image

from . import storage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144


@dataclass(frozen=True)
class Drawing:
    """A figure as an image file; `width` in CSS pixels."""

    content: bytes
    width: int
    kind: str = "png"
    """"png" or "jpeg"."""

    @property
    def suffix(self) -> str:
        """Of a file's name."""
        return ".jpg" if self.kind == "jpeg" else f".{self.kind}"


@dataclass(frozen=True)
class Number:
    """A headline number."""

    label: str
    value: str
    reading: str


@dataclass(frozen=True)
class Picture:
    """An embedded plot; `width` in CSS pixels, `content` in base64."""

    title: str
    reading: str
    content: str
    width: int
    kind: str


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


def draw(figure: Figure, *, photographs: bool = False) -> Drawing:
    """A matplotlib figure as PNG of 256 colours, a third of the size of all colours and as sharp.

    Args:
        photographs: as JPEG, at the figure's own resolution: of photographs a fifth of the size of PNG.
    """
    buffer, width = io.BytesIO(), round(96 * figure.get_figwidth())
    if photographs:
        figure.savefig(buffer, format="jpeg", dpi="figure", pil_kwargs={"quality": 85, "subsampling": 0})
        return Drawing(buffer.getvalue(), width, "jpeg")
    figure.savefig(buffer, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    whole = Image.open(buffer).convert("RGB")
    colors = whole.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    colors.save(buffer, "png", optimize=True, dpi=(DPI, DPI))
    return Drawing(buffer.getvalue(), width)


def picture(title: str, reading: str, drawing: Drawing) -> Picture:
    """A drawing with what to say of it."""
    content = base64.b64encode(drawing.content).decode("ascii")
    return Picture(title, reading, content, drawing.width, drawing.kind)


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
