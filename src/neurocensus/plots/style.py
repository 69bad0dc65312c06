"""What all pictures share: colours that colour-blind readers can tell apart, and names as plain text."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from .. import text

DEAD: Final = "#c1440e"
"""Dead units, everywhere: a dark vermilion, apart from every colour of `depth_colormap`."""
MISSING: Final = "#9a9a9a"
"""What is not known."""
LEGEND_LIMIT: Final = 10
"""More layers than this get a colour bar in place of a legend."""
NAME_WIDTH: Final = 40
CHARACTER: Final = 0.072
"""Width in inches of a character of 8 points, on average."""


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def depth_colormap() -> Colormap:
    """First layer to last: viridis without its palest end, which is lost on white."""
    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.93, 256)))


def depth_colors(layers: int) -> npt.NDArray[np.float64]:
    """One RGBA colour per layer, shape (layers, 4), evenly over `depth_colormap`."""
    return np.asarray(depth_colormap()(np.linspace(0, 1, layers) if layers != 1 else np.array([0.4])))


def plain(*texts: Text) -> None:
    """Draw these texts as they are: neither mathtext nor TeX."""
    for item in texts:
        item.set_parse_math(False)
        item.set_usetex(False)


def display_name(name: str, width: int = NAME_WIDTH) -> str:
    """A model's name as a picture shows it, in at most `width` characters."""
    return _drawable(text.shorten(_drawable(name), width))  # again: a font may lack the ellipsis


def display_names(names: Sequence[str], width: int = NAME_WIDTH) -> list[str]:
    """Layers' names as a picture shows them, each in about `width` characters, as different as they are."""
    return [_drawable(name) for name in text.shorten_all([_drawable(name) for name in names], width)]


def _drawable(name: str) -> str:
    """The name on one line; what no font in use has as escapes: matplotlib would draw empty boxes."""
    glyphs = _glyphs(tuple(FontProperties().get_family()))
    return "".join(
        c if ord(c) in glyphs else c.encode("unicode_escape").decode("ascii") for c in text.printable(name)
    )


@functools.lru_cache(maxsize=8)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    fonts = (get_font(findfont(FontProperties(family=[family]))) for family in families)
    return frozenset().union(*(font.get_charmap() for font in fonts))


def percent_axis(axis: Axis) -> None:
    """Tick labels such as "5 %" for shares."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: text.percent(share)))


def title(axes: Axes, content: str, **style: Any) -> None:
    """A title above the axes, flush left, as plain text."""
    plain(axes.set_title(content, loc="left", fontsize=10, **style))


def tidy(axes: Axes) -> None:
    """Only the spines that carry a scale."""
    axes.spines[["top", "right"]].set_visible(False)


def grid_shape(panels: int, columns: int) -> tuple[int, int]:
    """Rows and columns for that many panels, at most `columns` wide."""
    columns = max(1, min(panels, columns))
    return max(1, -(-panels // columns)), columns


def every_nth(items: int, limit: int) -> range:
    """Indices of at most `limit` of the items, evenly spaced from the first on."""
    return range(0, items, max(1, -(-items // limit)))


def name_room(names: Sequence[str]) -> float:
    """Inches that the longest of the names takes as `name_ticks` draws it."""
    return CHARACTER * max((len(name) for name in display_names(names)), default=0)


def name_ticks(axes: Axes, names: Sequence[str], rows: int = 0, limit: int = 120) -> None:
    """Names down the y axis, first on top; of more than `limit` every n-th, evenly.

    The axis has room for `rows` names if those are more, so that bars beside one another are equally thick.
    """
    shown, labels = every_nth(len(names), limit), display_names(names)
    axes.set_yticks(list(shown), [labels[index] for index in shown], fontsize=8)
    plain(*axes.get_yticklabels())
    axes.set_ylim(max(len(names), rows, 1) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
