"""`plot_contact_sheet`, where `neurocensus.explain` finds it; the drawing is done in `neurocensus.plots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...arguments import integer
from .pictures import Pictures
from .result import LayerTop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = 512


def plot_contact_sheet(
    layer: LayerTop,
    images: Any,
    *,
    labels: Any = None,
    classes: Sequence[str] | None = None,
    units: Sequence[int] | None = None,
    limit: int = LIMIT,
) -> Figure:
    """Draw the k inputs that activate each unit of a layer most, the strongest first.

    Above each unit's inputs stand its number and its largest activation. An input on which the unit gave 0
    is left out: behind a ReLU it says nothing. Units that never fired are marked. Where the classes of the
    inputs are known, up to seven, each input has a frame in the colour of its class.

    Args:
        layer: one of `TopExamples.layers`.
        images: the inputs that the model was shown, in that order: a NumPy array, grey (N, H, W) or
            (N, H, W, 1), or RGB (N, H, W, 3), uint8 or floating point in [0, 1]; pixels as
            `neurocensus.data.Examples`; or a function that gives one such picture for an index.
        labels: class of each input, integers from 0 (N,); default: those of `Examples`, else none.
        classes: names of the classes; default: those of `Examples`, else their numbers.
        units: which to draw, in this order; default: all.
        limit: draw so many of these at most, the first ones, and say so.

    Raises:
        TypeError: `layer` or `images` is something else.
        ValueError: a unit that is not there, too few images or labels, values beyond [0, 1].
    """
    if not isinstance(layer, LayerTop):
        raise TypeError(f"layer: expected a LayerTop, such as top.layers[name], got {type(layer).__name__}")
    limit = integer("limit", limit, 1)
    wanted = list(range(layer.units) if units is None else units)
    for unit in wanted:
        if not 0 <= integer("units", unit) < layer.units:
            raise ValueError(f"units: expected 0 to {layer.units - 1} of layer {layer.name!r}, got {unit}")
    if not wanted:
        raise ValueError("units: expected at least one, got none")
    pictures = Pictures(images, labels, classes)
    pictures.check(int(layer.examples[wanted[:limit]].max()))

    from ...plots.contact import draw

    return draw(layer, pictures, wanted[:limit], chosen=len(wanted))
