from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from neurocensus.explain import Lives, plot_lives
from neurocensus.plots import style
from neurocensus.plots.lives import COLORS, LAYERS, NAMED

from ..audit_samples import NASTY_NAMES
from .test_lives import DEAD, steps_for


def drawn(figure: Figure) -> Figure:
    """The figure after a draw: layout done, every text parsed."""
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def colors(axes: Any) -> Any:
    """The map, (units, steps, RGB)."""
    return axes.images[0].get_array()


KINDS = np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 1], [0, 1, 1, 0, 0]], bool)


@given(DEAD)
@settings(max_examples=10)
def test_a_cell_is_coloured_where_its_unit_was_dead(dead: Any) -> None:
    lives = Lives(np.array(steps_for(dead)), dead)
    pixels = colors(plot_lives({"a": lives}).axes[0])
    for life in lives.lives:
        for row, cell in zip(dead[:, life.unit], pixels[life.unit], strict=True):
            assert tuple(cell) == to_rgb(COLORS[life.status if row else "alive"])


def test_layers_stand_under_one_another_with_their_counts() -> None:
    steps = np.array([0, 1000, 2000])
    figure = drawn(plot_lives({"a": Lives(steps, KINDS), "b": Lives(steps, ~KINDS)}))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "a: 1 alive, 1 born dead, 1 died, 2 revived",
        "b: 1 alive, 1 born dead, 2 died, 1 revived",
    ]
    labels = [[text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes]
    assert labels == [[], ["0", "1,000", "2,000"]]  # once, as they are the same
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list("01234")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "alive", "dead (revived)", "dead (died)", "dead (born dead)",
    ]  # fmt: skip


def test_layers_with_steps_of_their_own_name_them() -> None:
    figure = drawn(
        plot_lives({"a": Lives(np.array([0, 5, 6]), KINDS), "b": Lives(np.array([0, 1, 2]), KINDS)})
    )
    assert all(any(text.get_visible() for text in axes.get_xticklabels()) for axes in figure.axes)


def test_a_crowd_is_sorted_by_what_became_of_its_units() -> None:
    units = NAMED + 30
    dead = np.random.default_rng(0).random((4, units)) < 0.5
    lives = Lives(np.arange(4), dead)
    axes = drawn(plot_lives({"a": lives})).axes[0]
    order = ["alive", "revived", "died", "born dead"]
    last = {to_rgb(color): order.index(status) for status, color in COLORS.items()}
    ranks = [max(last[tuple(cell)] for cell in row) for row in colors(axes)]
    assert ranks == sorted(ranks)
    assert [ranks.count(k) for k in range(4)] == [lives.counts()[status] for status in order]
    assert axes.get_ylabel() == f"{units} units, sorted"


def test_of_many_layers_the_first_are_drawn_and_the_rest_counted() -> None:
    lives = Lives(np.array([0, 1, 2]), KINDS)
    figure = plot_lives({f"layer {k}": lives for k in range(LAYERS + 5)})
    assert len(figure.axes) == LAYERS
    assert figure.axes[-1].get_xlabel().endswith(f"(the first {LAYERS} of {LAYERS + 5} layers)")


def test_many_steps_name_some() -> None:
    axes = drawn(plot_lives({"a": Lives(np.arange(1000), np.zeros((1000, 2), bool))})).axes[0]
    assert 5 <= len(axes.get_xticks()) <= 12


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_names_are_drawn_as_they_are(name: str) -> None:
    figure = drawn(plot_lives({name: Lives(np.array([0, 1, 2]), KINDS)}))
    assert style.display_names([name])[0] in figure.axes[0].get_title(loc="left")


def test_texts_do_not_overlap() -> None:
    steps, dead = np.arange(20) * 10**9, np.zeros((20, 3), bool)
    figure = plot_lives({f"a.rather.long.path.of.modules.{k}": Lives(steps, dead) for k in range(3)})
    FigureCanvasAgg(figure).draw()
    ticks = [text for axes in figure.axes for text in axes.get_xticklabels() if text.get_visible()]
    titles = [axes._left_title for axes in figure.axes]  # type: ignore[attr-defined]
    boxes = [item.get_window_extent() for item in (*figure.legends, *titles, *ticks)]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_no_layer() -> None:
    with pytest.raises(ValueError, match="lives: expected at least one layer, got none"):
        plot_lives({})
