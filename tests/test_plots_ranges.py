"""The pictures of ranges, measured: whatever the names, texts neither meet nor leave the figure."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neurocensus.metrics import Range
from neurocensus.plots import plot_range, style


def ranges(models: int, letter: str, *, shared: bool) -> dict[str, Range]:
    """Names of 40 such letters; each model has a range of its own."""
    return {
        f"{letter * 39}{model}": Range(
            {f"{letter * 38}{layer}{0 if shared else model}": 0.3 * 10**-model * layer for layer in (1, 2)},
            1.234e-5,
            (letter * 40,),
        )
        for model in range(models)
    }


def texts(figure: Figure) -> list[tuple[str, Any]]:
    """What stands in the figure, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found: list[Any] = [axes._left_title for axes in figure.axes if axes.get_visible()]  # type: ignore[attr-defined]
    for axes in figure.axes:
        if axes.get_visible() and axes.yaxis.get_tick_params()["labelleft"]:
            found += axes.get_yticklabels()
        if axes.get_visible():
            found += axes.texts
    return [(item.get_text(), item.get_window_extent(canvas.get_renderer())) for item in found]


@pytest.mark.parametrize(
    ("models", "letter", "shared"),
    [
        (1, "W", True),
        (2, "\N{GRINNING FACE}", False),
        (3, "m.", True),
        (3, "W", False),
        (3, "i", False),
        (5, "W", True),
        (5, "\N{CJK UNIFIED IDEOGRAPH-5C64}", False),
        (8, "W", True),
        (8, "\N{GRINNING FACE}", False),
    ],
)
def test_wide_names_stay_apart_and_inside(models: int, letter: str, shared: bool) -> None:
    figure = plot_range(ranges(models, letter, shared=shared))
    found = texts(figure)
    assert len({words for words, _ in found if "consistency" in words}) == models
    assert all(axes.get_window_extent().width > 2 * figure.dpi for axes in figure.axes)  # inches for the bars
    for words, box in found:
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, words
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, words
    for (one, a), (other, b) in itertools.combinations(found, 2):
        assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1, (one, other)


def test_names_that_fit_are_whole() -> None:
    found = {f"model {number}": Range({"features.0": 1.0, "classifier": 2.0}, 0.5) for number in range(5)}
    figure = plot_range(found)
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes] == list(found)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["features.0", "classifier"]


def test_cut_names_stay_as_different_as_they_are() -> None:
    """Titles too: the same head and the same end, and one letter between them that differs."""
    names = [f"{'W' * 25}{letter}{'W' * 25}" for letter in "abc"]
    figure = plot_range({name: Range(dict.fromkeys(names, 1.0), 0.0) for name in names})
    assert len({axes.get_title(loc="left") for axes in figure.axes}) == 3
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == 3
    assert max(map(len, labels)) < style.NAME_WIDTH
