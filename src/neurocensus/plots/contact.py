"""Contact sheets: small pictures of the inputs that activate each unit of a layer most.

All pictures of a sheet are composed into one array, which is drawn once: an Axes for each would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from .. import text
from . import style

if TYPE_CHECKING:
    from ..explain.top.pictures import Pictures
    from ..explain.top.result import LayerTop

DPI: Final = 100
"""A pixel of the composed array is one of the figure, saved as it is."""
CLASSES: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#000000")
"""Frames of up to so many classes: Okabe and Ito's colours, without the one that is like `style.DEAD`."""
EMPTY: Final = "#efefef"
"""In place of an input that is not there, or on which the unit gave 0."""
NEVER: Final = "#f6e3db"
"""Behind a unit that never fired: a tint of `style.DEAD`."""
AREA: Final = 2.4e6
"""Pixels that all pictures of a sheet take, as far as `SIDES` allow."""
SIDES: Final = (32, 96)
"""The least and the most pixels that a picture is high and wide."""
FRAME, GAP, PAD, LABEL, MARGIN, LINE = 2, 2, 7, 14, 14, 17  # pixels
FONTS: Final = (10, 8, 8)
"""Sizes of the lines of the heading, in points."""


@dataclass(frozen=True)
class Layout:
    """Where things are on a sheet, in pixels from the top left."""

    units: int
    k: int
    side: int
    """Of a picture, with its frame."""
    across: int
    """Pictures beside one another in a tile."""
    columns: int
    """Tiles beside one another."""

    @classmethod
    def of(cls, units: int, k: int) -> Layout:
        """About as wide as a page is, with pictures as large as there is room for."""
        side = round(min(max(math.sqrt(AREA / (units * k)), SIDES[0]), SIDES[1]))
        across = math.ceil(math.sqrt(k))
        one = cls(units, k, side, across, 1)
        width, height = one.pitch
        columns = math.ceil(math.sqrt(1.4 * units * height / width))
        return cls(units, k, side, across, max(1, min(units, columns)))

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a unit's pictures."""
        step, down = self.side + GAP, -(-self.k // self.across)
        return self.across * step - GAP, down * step - GAP

    @property
    def pitch(self) -> tuple[int, int]:
        """From one tile to the next."""
        width, height = self.tile
        return width + 2 * PAD, height + LABEL + PAD

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of all tiles."""
        width, height = self.pitch
        return self.columns * width, -(-self.units // self.columns) * height

    def corner(self, place: int) -> tuple[int, int]:
        """Left and top of the pictures of the unit in that place; its label stands above."""
        (width, height), (row, column) = self.pitch, divmod(place, self.columns)
        return column * width + PAD, row * height + LABEL

    def cell(self, place: int, rank: int) -> tuple[slice, slice]:
        """Rows and columns of one picture, with its frame."""
        (left, top), (row, column) = self.corner(place), divmod(rank, self.across)
        top, left = top + row * (self.side + GAP), left + column * (self.side + GAP)
        return slice(top, top + self.side), slice(left, left + self.side)


def draw(layer: LayerTop, pictures: Pictures, units: Sequence[int], chosen: int) -> Figure:
    """The sheet of these units of a layer, the first ones of `chosen` that were asked for."""
    layout = Layout.of(len(units), layer.k)
    colors = CLASSES if 0 < len(pictures.classes) <= len(CLASSES) else ()
    lines = _heading(layer, units, chosen)
    names = style.display_names(pictures.classes, 16) if colors else []
    width, height = layout.size
    room = max(sum(map(_key_part, names)), *map(_width, lines, FONTS))
    outer_width = max(width + 2 * MARGIN, math.ceil(room) + 2 * (MARGIN + PAD))
    # Large sheets are looked at from further away.
    larger = min(max(outer_width / 1400, 1.0), 2.0, (outer_width - 2 * (MARGIN + PAD)) / room)
    line = round(LINE * larger)
    above = MARGIN + line * (len(lines) + bool(names)) + 4
    outer = outer_width, height + above + MARGIN
    figure = Figure(figsize=(outer[0] / DPI, outer[1] / DPI), dpi=DPI)
    for row, (content, size) in enumerate(zip(lines, FONTS, strict=True)):
        at, color = _at(MARGIN + PAD, MARGIN + line * row, outer), "0.35" if row else "0.1"
        style.plain(figure.text(*at, content, va="top", fontsize=size * larger, color=color))
    _draw_key(figure, names, MARGIN + line * len(lines), outer, larger)
    corner = _at(MARGIN, above + height, outer)
    axes = figure.add_axes((*corner, width / outer[0], height / outer[1]))
    axes.imshow(_compose(layer, pictures, units, layout, colors), extent=(0, width, height, 0), aspect="auto")
    axes.set_axis_off()
    for place, unit in enumerate(units):
        _label(axes, layer, unit, layout, place)
    return figure


def _at(left: float, top: float, size: tuple[int, int]) -> tuple[float, float]:
    """Pixels from the top left as shares of the figure from the bottom left."""
    return left / size[0], 1 - top / size[1]


def _heading(layer: LayerTop, units: Sequence[int], chosen: int) -> list[str]:
    """Three lines."""
    never = int(np.count_nonzero(layer.never_fired[units]))
    inputs = "input that activates" if layer.k == 1 else f"{layer.k} inputs that activate"
    shown = text.plural(layer.units, "unit")
    if chosen < layer.units:
        shown = f"{text.count(chosen)} of {shown}"
    if len(units) < chosen:
        shown = f"the first {text.count(len(units))} of {shown}"
    return [
        f"{style.display_name(layer.name, 48)}  ({style.display_name(layer.kind, 20)})",
        f"The {inputs} each unit most. Above: unit, largest activation.",
        shown[0].upper() + shown[1:] + (f"; {text.count(never)} never fired" if never else ""),
    ]


def _key_part(name: str) -> float:
    return 29 + _width(name, 8)


def _width(content: str, size: float) -> float:
    """Of a line of text, in pixels, rounded up: on screens each letter is as wide as whole pixels."""
    points: float = text_to_path.get_text_width_height_descent(content, FontProperties(size=size), False)[0]
    return 1.08 * points * DPI / 72


def _draw_key(figure: Figure, names: Sequence[str], top: int, size: tuple[int, int], larger: float) -> None:
    """Which colour of frame is which class, on one line."""
    left = float(MARGIN + PAD)
    for name, color in zip(names, CLASSES, strict=False):
        figure.text(*_at(left, top, size), "\u25a0", va="top", fontsize=9 * larger, color=color)
        at = _at(left + 13 * larger, top, size)
        style.plain(figure.text(*at, name, va="top", fontsize=8 * larger, color="0.35"))
        left += _key_part(name) * larger


def _compose(
    layer: LayerTop, pictures: Pictures, units: Sequence[int], layout: Layout, colors: Sequence[str]
) -> npt.NDArray[np.uint8]:
    """All pictures on white, uint8 (height, width, 3)."""
    width, height = layout.size
    sheet = np.full((height, width, 3), 255, np.uint8)
    cache: dict[int, npt.NDArray[np.uint8]] = {}
    for place, unit in enumerate(units):
        if layer.never_fired[unit] or layer.unseen[unit]:
            left, top = layout.corner(place)
            sheet[top : top + layout.tile[1], left : left + layout.tile[0]] = _rgb(
                NEVER if layer.never_fired[unit] else EMPTY
            )
            continue
        for rank, (value, example) in enumerate(zip(layer.values[unit], layer.examples[unit], strict=True)):
            index = int(example)
            if value == 0 or index < 0:
                sheet[layout.cell(place, rank)] = _rgb(EMPTY)
                continue
            if index not in cache:
                label = pictures.label(index) if colors else None
                color = None if label is None else colors[label]
                cache[index] = _framed(pictures[index], layout.side, color)
            sheet[layout.cell(place, rank)] = cache[index]
    return sheet


def _framed(pixels: npt.NDArray[np.uint8], side: int, color: str | None) -> npt.NDArray[np.uint8]:
    """A picture in a square, all of it, its shape kept; with a frame if there is a colour for one."""
    border = 0 if color is None else FRAME
    room = side - 2 * border
    height, width = pixels.shape[:2]
    scale = room / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS))
    out = np.full((side, side, 3), _rgb(color or EMPTY), np.uint8)
    out[border : side - border, border : side - border] = _rgb(EMPTY)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def _label(axes: Axes, layer: LayerTop, unit: int, layout: Layout, place: int) -> None:
    """The number of a unit above its pictures, and its largest value where there is room."""
    (left, top), (width, height) = layout.corner(place), layout.tile
    never, unseen = bool(layer.never_fired[unit]), bool(layer.unseen[unit])
    color = style.DEAD if never else "0.1"
    looks: dict[str, Any] = {"fontsize": 7, "va": "bottom"}
    axes.text(left, top - 1, str(unit), color=color, fontweight="bold", **looks)
    if never or unseen:
        said = "unseen" if unseen else "never\nfired" if width < 64 else "never fired"
        middle = left + width / 2, top + height / 2
        axes.text(*middle, said, color=color, fontsize=7, ha="center", va="center")
    elif width >= 48:
        value = text.real(float(layer.values[unit, 0]))
        axes.text(left + width, top - 1, value, color="0.45", ha="right", **looks)


def _rgb(color: str) -> npt.NDArray[np.uint8]:
    return np.rint(np.multiply(to_rgb(color), 255)).astype(np.uint8)
