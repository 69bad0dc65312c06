"""The plot of a monitor's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh

from neurocensus.callbacks import plot_monitor
from neurocensus.callbacks.journal import Journal
from neurocensus.plots.monitor import LAYERS, _columns, plot_rows

from .samples import row


def maps(figure: matplotlib.figure.Figure) -> dict[str, Any]:
    """The maps by their titles."""
    return {
        axes.get_title(loc="left"): mesh
        for axes in figure.axes
        for mesh in axes.collections
        if isinstance(mesh, QuadMesh) and axes.get_title(loc="left")
    }


def drawn(figure: matplotlib.figure.Figure, path: Path) -> None:
    figure.savefig(path / "plot.png", dpi=60)


def test_a_map_has_the_dead_shares_where_they_were(tmp_path: Path) -> None:
    rows = [
        row(10, {"a": 0.1, "b": 0.2}, first_step=0),
        row(10, {"a": 0.9}, mode="eval"),
        row(20, {"a": 0.3, "b": 0.0}, first_step=10),  # nothing of b was seen
        row(40, {"a": 0.5, "b": 0.6}, first_step=25),  # 20 to 25 were lost
        row(30, {"a": 0.7}, mode="eval"),
    ]
    rows[2]["layers"]["b"]["unseen"] = rows[2]["layers"]["b"]["units"]
    figure = plot_rows(rows)
    found = maps(figure)
    training, validation = (
        found[f"Dead units of each layer in {mode}"] for mode in ("training", "validation")
    )
    nan = np.nan
    np.testing.assert_array_equal(
        training.get_array().filled(nan), [[0.1, 0.3, nan, 0.5], [0.2, nan, nan, 0.6]]
    )
    np.testing.assert_array_equal(training.get_coordinates()[0, :, 0], [0, 10, 20, 25, 40])
    np.testing.assert_array_equal(validation.get_array().filled(nan), [[0.9, 0.7]])
    np.testing.assert_array_equal(validation.get_coordinates()[0, :, 0], [0, 20, 40])
    lines = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert lines["validation"] == [[10, 0.9], [30, 0.7]]
    assert [x for x, _ in lines["training"]] == [10, 20, 40]
    drawn(figure, tmp_path)


ROWS = st.lists(
    st.builds(
        lambda step, share, mode, back: row(step, {"a": share}, mode=mode, first_step=max(0, step - back)),
        st.integers(0, 60),
        st.floats(0, 1),
        st.sampled_from(["train", "eval"]),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS)
def test_edges_ascend_and_enclose(rows: list[dict[str, Any]]) -> None:
    for mode in ("train", "eval"):
        some = {one["step"]: one for one in sorted(rows, key=lambda one: one["step"]) if one["mode"] == mode}
        if some:
            edges, columns = _columns(list(some.values()))
            assert len(edges) == len(columns) + 1
            assert (np.diff(edges) > 0).all()
            assert [column["step"] for column in columns if column] == list(some)


@settings(max_examples=4)  # pictures take their time
@given(ROWS)
def test_any_rows_are_drawn(rows: list[dict[str, Any]]) -> None:
    plot_rows(rows).draw_without_rendering()


def test_a_warning_is_a_ring_and_is_explained(tmp_path: Path) -> None:
    rows = [row(10, {"a": 0.1, "b": 0.9}, first_step=0)]
    assert not plot_rows(rows).legends
    rows[0]["warnings"] = [{"kind": "dead", "layer": "b", "message": "m"}]
    figure = plot_rows(rows)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a warning was given"]
    assert [line.get_xydata().tolist() for line in figure.axes[1].lines] == [[[5.0, 1.0]]]
    drawn(figure, tmp_path)


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = ["$\\frac$", "a_very.long.path." * 6 + "relu", "层.relu", "\x1b[31m", ""]
    rows = [row(10, dict.fromkeys(names, 0.5), first_step=0)]
    rows[0]["model"] = "$\\frac{1}{2}$ <b>"
    figure = plot_rows(rows)
    drawn(figure, tmp_path)
    assert figure.axes[0].get_title(loc="left") == "Neural network utilization: $\\frac{1}{2}$ <b>"


def test_of_many_layers_those_that_die_most_are_drawn() -> None:
    shares = {f"layer{n}": (n % 7) / 10 for n in range(LAYERS + 50)}
    figure = plot_rows([row(10, shares, first_step=0)])
    ((title, mesh),) = maps(figure).items()
    assert mesh.get_array().shape[0] == LAYERS
    assert title == f"Dead units of each layer in training (the {LAYERS} of {LAYERS + 50} with the most)"
    assert mesh.get_array().min() == sorted(shares.values())[50]
    assert figure.get_size_inches()[1] < 20


def test_one_row_is_enough(tmp_path: Path) -> None:
    Journal(tmp_path, 0).append(row(7, {"a": 0.5}, mode="eval"))
    drawn(plot_monitor(tmp_path), tmp_path)
    with pytest.raises(FileNotFoundError):
        plot_monitor(tmp_path / "no")
