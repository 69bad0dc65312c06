from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from neurocensus.explain import Responses, plot_responses
from neurocensus.plots import style
from neurocensus.plots.responses import LIMIT, TINT

from ...audit_samples import NASTY_NAMES
from .test_result import of


def drawn(figure: Figure) -> Figure:
    """The figure after a draw: layout done, every text parsed."""
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def panels(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_visible()]


# Steps 0, 10, 20; two inputs; a unit of each kind.
KINDS = of(
    np.moveaxis(
        np.array(
            [
                [[0, 0, 0], [0, 0, 0]],  # never answers
                [[5, 5, 5], [6, 6, 6]],  # always the same
                [[1, 2, 3], [3, 2, 1]],
                [[1, 0, 0], [2, 0, 0]],  # stops
                [[0, 0, 1], [0, 0, 2]],  # begins
                [[1, 0, 1], [2, 0, 2]],
                [[1, np.nan, 1], [2, 0, 2]],
            ]
        ),
        2,
        0,
    ).swapaxes(1, 2)
)


def test_a_panel_for_each_unit_with_a_line_for_each_input() -> None:
    figure = drawn(plot_responses(KINDS, "a"))
    assert len(panels(figure)) == 7
    for unit, axes in enumerate(panels(figure)):
        assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 10, 20]] * 2
        for line, values in zip(axes.lines, KINDS.layers["a"][:, :, unit].T, strict=True):
            assert np.array_equal(line.get_ydata(), values, equal_nan=True)
    assert len({axes.get_ylim() for axes in panels(figure)}) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["input 0", "input 1"]


def test_what_became_of_each_unit_is_told() -> None:
    figure = drawn(plot_responses(KINDS, "a"))
    assert [axes.get_title(loc="left") for axes in panels(figure)] == [
        "0  always 0", "1  constant", "2", "3  0 from 10 on", "4  0 until 20", "5  0 at times",
        "6  not finite",
    ]  # fmt: skip
    assert figure.get_suptitle() == "a: 2 of 7 units flat on all 2 inputs (grey)"


def test_flat_lines_stand_on_grey_and_zeros_in_the_colour_of_the_dead() -> None:
    figure = drawn(plot_responses(KINDS, "a"))
    tinted = [axes.get_facecolor() == to_rgba(TINT) for axes in panels(figure)]
    assert tinted == [True, True, False, False, False, False, False]
    colors = [
        {to_rgba(line.get_color()) == to_rgba(style.DEAD) for line in axes.lines} for axes in panels(figure)
    ]
    assert colors == [{True}, *[{False}] * 6]


def test_of_many_units_some_are_drawn_and_the_rest_counted() -> None:
    wide = of(np.random.default_rng(0).random((2, 1, 512)))
    figure = plot_responses(wide, "a")
    assert len(panels(figure)) == LIMIT
    assert figure.get_suptitle().endswith(f"\n{LIMIT} of 512 units shown; units= chooses others")


def test_units_may_be_chosen() -> None:
    figure = plot_responses(KINDS, "a", units=[4, 0])
    assert [axes.get_title(loc="left") for axes in panels(figure)] == ["4  0 until 20", "0  always 0"]
    assert "2 of 7 units shown" in figure.get_suptitle()


def test_the_lowest_panel_of_each_column_has_the_steps() -> None:
    figure = drawn(plot_responses(KINDS, "a"))
    labelled = [any(t.get_visible() for t in axes.get_xticklabels()) for axes in panels(figure)]
    assert labelled == [False, False, True, True, True, True, True]


@pytest.mark.parametrize("steps", [[7], [7, 8], list(range(0, 4000, 100))])
def test_any_number_of_steps_has_whole_ones_named(steps: list[int]) -> None:
    figure = drawn(plot_responses(of(np.ones((len(steps), 1, 1)), steps=steps), "a"))
    (axes,) = panels(figure)
    ticks = [tick for tick in axes.get_xticks() if steps[0] <= tick <= steps[-1]]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    if len(steps) == 1:
        assert figure.get_suptitle() == "a: 1 unit at one step"


def test_many_inputs_get_a_colour_bar() -> None:
    figure = drawn(plot_responses(of(np.random.default_rng(0).random((3, 15, 2))), "a"))
    assert not figure.legends
    assert [text.get_text() for text in figure.axes[-1].get_yticklabels()] == ["input 0", "input 14"]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_names_are_drawn_as_they_are(name: str) -> None:
    array = np.ones((2, 1, 1), np.float32)
    found = Responses("Net", np.array([0, 1]), (name,), {name: array}, {name: array == 0})
    figure = drawn(plot_responses(found, name))
    for shown in (figure.get_suptitle(), figure.legends[0].get_texts()[0].get_text()):
        assert style.display_name(name) in shown


def test_titles_neither_overlap_nor_leave_the_figure() -> None:
    figure = plot_responses(of(np.eye(20)[:, None] * 1e6, steps=np.arange(20) * 100_000), "a")
    FigureCanvasAgg(figure).draw()
    titles = [axes._left_title for axes in panels(figure)]
    boxes = [text.get_window_extent() for text in (figure._suptitle, *titles, *figure.legends)]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layer": "b"}, ValueError, r"layer: expected one of \['a'\], got 'b'"),
        ({"units": [7]}, ValueError, r"units: expected one or more of 0 to 6, got \[7\]"),
        ({"units": []}, ValueError, r"units: expected one or more of 0 to 6, got \[\]"),
        ({"units": [0.5]}, TypeError, "units: expected an integer, got float"),
        ({"units": [0] * 61}, ValueError, "units: expected at most 60 in one figure, got 61"),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_responses(**{"responses": KINDS, "layer": "a", **arguments})
