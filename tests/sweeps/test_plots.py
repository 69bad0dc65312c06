"""Pictures of sweeps and of frozen layers."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from neurocensus.plots import freezing as freezing_plot
from neurocensus.plots import sweeps as sweeps_plot
from neurocensus.plots.freezing import plot_freezing
from neurocensus.plots.sweeps import COLORS, plot_networks, plot_nnu_accuracy, plot_sweep
from neurocensus.sweeps.freezing import effects, subsets
from neurocensus.sweeps.lines import best_fit
from neurocensus.sweeps.records import MEASURES
from neurocensus.sweeps.table import SweepTable

from ..audit_samples import NASTY_NAMES
from .samples import LAYERS, diverged, freezing, record, study, sweep

STUDY = SweepTable(study())
RATES = STUDY.of("cat", "learning_rate")
WIDTHS = STUDY.of("dog", "hidden2")


def drawn(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def dots(axes: Axes) -> list[Any]:
    """Positions of each set of points, sorted."""
    return [np.array(sorted(map(tuple, points.get_offsets()))) for points in axes.collections]  # type: ignore[attr-defined]


def expected(x: Any, y: Any) -> Any:
    known = np.isfinite(x) & np.isfinite(y)
    return np.array(sorted(set(zip(x[known], y[known], strict=True))))


def lines(axes: Axes) -> list[Any]:
    """The lines of best fit."""
    return [line for line in axes.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]


def crosses(axes: Axes) -> list[float]:
    return [x for line in axes.lines if line.get_marker() == "x" for x in line.get_xdata()]  # type: ignore[union-attr]


def above(axes: Axes) -> list[str]:
    return [item.get_text() for item in axes.texts if isinstance(item, Annotation)]


def assert_apart(figure: Figure) -> None:
    """No text of the figure lies on another or leaves it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [item for axes in figure.axes for item in (*axes.texts, axes.title, axes._left_title)]  # type: ignore[attr-defined]
    texts += [item for axes in figure.axes for item in (axes.xaxis.label, axes.yaxis.label)]
    texts += [
        label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in ticks(axes, axis)
    ]
    texts += [item for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes)) if legend
              for item in legend.get_texts()]  # fmt: skip
    boxes = [
        (item.get_text(), item.get_window_extent(canvas.get_renderer()))
        for item in texts
        if item.get_visible() and item.get_text()
    ]
    for content, box in boxes:
        assert box.x0 >= -1, content
        assert box.y0 >= -1, content
        assert box.x1 <= figure.bbox.x1 + 1, content
        assert box.y1 <= figure.bbox.y1 + 1, content
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (first, second)


def ticks(axes: Axes, axis: Any) -> list[Any]:
    """The tick labels that are drawn."""
    low, high = sorted(axis.get_view_interval())
    shown = axis.get_major_ticks()
    if not axes.axison:
        return []
    return [
        label
        for tick in shown
        if low <= tick.get_loc() <= high
        for label in (tick.label1, tick.label2)
        if label.get_visible()
    ]


class TestSweep:
    @pytest.mark.parametrize("table", [RATES, WIDTHS], ids=["rates", "widths"])
    def test_every_measure_of_both_parts_over_the_value(self, table: SweepTable) -> None:
        figure = plot_sweep(table)
        assert len(figure.axes) == 12
        x = table.column("value")
        log = table is RATES
        for axes, measure in zip(figure.axes, MEASURES, strict=False):
            assert axes.get_xscale() == ("log" if log else "linear")
            fits = [best_fit(x, table.column(f"{part}_{measure}"), log=log) for part in COLORS]
            for part, points in zip(COLORS, dots(axes), strict=True):
                np.testing.assert_array_equal(points, expected(x, table.column(f"{part}_{measure}")))
            for fit, line in zip(fits, lines(axes), strict=True):
                assert fit is not None
                np.testing.assert_allclose(line.get_ydata(), fit.at(line.get_xdata()))
            shown = ["n/a" if math.isnan(fit.r) else f"{fit.r:.2f}" for fit in fits if fit]
            assert above(axes) == [*shown, "r"]
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles[:2] == ["accuracy", "misclassification rate"]
        assert titles[-2:] == ["NNU", "accuracy over NNU"]

    def test_accuracy_over_nnu(self) -> None:
        axes = plot_sweep(WIDTHS).axes[-1]
        for part, points in zip(COLORS, dots(axes), strict=True):
            nnu, accuracy = (WIDTHS.column(f"{part}_{key}") for key in ("nnu", "accuracy"))
            np.testing.assert_array_equal(points, expected(nnu, accuracy))

    @pytest.mark.parametrize("name", ["hidden1", "learning_rate"])
    def test_all_panels_have_the_same_values_where_some_measures_are_not_defined(self, name: str) -> None:
        """Precision has no value where no example is given the class, as at both ends here."""
        values = [0.001, 0.01, 0.1, 1.0] if name == "learning_rate" else [1, 10, 20, 50]
        undefined = {"train_precision": math.nan, "test_precision": math.nan}
        rows = [record(value, sweep=name, **(undefined if value in values[::3] else {})) for value in values]
        figure = drawn(plot_sweep(SweepTable(rows)))
        *panels, last = figure.axes
        limits = {axes.get_xlim() for axes in panels}
        assert len(limits) == 1
        low, high = limits.pop()
        assert low < values[0]
        assert high > values[-1]
        assert last.get_xlim() != (low, high)
        assert all(ticks(axes, axes.xaxis) for axes in panels)

    def test_diverged_networks_are_on_the_axis(self) -> None:
        figure = plot_sweep(RATES)
        values = RATES.column("value")[RATES.diverged]
        assert len(values) >= 1
        for axes in figure.axes[:11]:
            assert crosses(axes) == list(values)
        assert crosses(figure.axes[11]) == []
        labels = [item.get_text() for item in figure.legends[0].get_texts()]
        assert labels == [
            "training set", "test set", "line of best fit", "hollow: gives all examples one class",
            "larger: several networks in one place", "diverged",
        ]  # fmt: skip
        plain = [item.get_text() for item in plot_sweep(WIDTHS).legends[0].get_texts()]
        assert plain == [*labels[:3], labels[4]]

    def test_networks_of_one_class_are_hollow(self) -> None:
        test = plot_sweep(RATES).axes[0].collections[1]
        faces = test.get_facecolor()[:, 3] == 0  # type: ignore[index, call-overload]
        values = test.get_offsets()[:, 0]  # type: ignore[index, call-overload]
        assert set(values[faces]) == set(RATES.column("value")[RATES.one_class()])
        assert 0 < faces.sum() < len(faces)

    def test_parts_can_be_told_apart_without_colour_vision(self) -> None:
        training, test = plot_sweep(WIDTHS).axes[0].collections
        assert len(training.get_paths()[0].vertices) != len(test.get_paths()[0].vertices)

    @pytest.mark.parametrize("table", [RATES, WIDTHS], ids=["rates", "widths"])
    def test_texts_do_not_overlap(self, table: SweepTable) -> None:
        assert_apart(plot_sweep(table))

    @pytest.mark.parametrize("table", [STUDY, STUDY.of("cat"), STUDY.of(sweep="hidden1"), SweepTable([])])
    def test_one_network_and_one_sweep(self, table: SweepTable) -> None:
        with pytest.raises(
            ValueError, match=r"table: expected records of one network and one sweep, got \d+ of"
        ):
            plot_sweep(table)


class TestNetworks:
    def test_a_column_per_network_and_a_row_per_sweep(self) -> None:
        figure = plot_networks(STUDY, "train_f1")
        assert len(figure.axes) == 12
        pairs = itertools.product(STUDY.sweeps, STUDY.networks)
        for axes, (name, network) in zip(figure.axes, pairs, strict=True):
            cell = STUDY.of(network, name)
            (points,) = dots(axes)
            np.testing.assert_array_equal(points, expected(cell.column("value"), cell.column("train_f1")))
            (line,) = lines(axes)
            fit = best_fit(cell.column("value"), cell.column("train_f1"), log=name == "learning_rate")
            assert fit is not None
            np.testing.assert_allclose(line.get_ydata(), fit.at(line.get_xdata()))
            count = cell.diverged.sum()
            assert above(axes) == [f"r {fit.r:.2f}" + (f", {count} diverged" if count else "")]
        assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == list(STUDY.networks)
        assert figure.axes[0].get_ylabel() == "training F1"

    def test_axes_are_shared(self) -> None:
        axes = plot_networks(STUDY).axes
        assert len({panel.get_ylim() for panel in axes}) == 1
        for row in range(4):
            assert len({panel.get_xlim() for panel in axes[3 * row : 3 * row + 3]}) == 1
        low, high = axes[0].get_ylim()
        known = STUDY.column("test_accuracy")
        assert low < np.nanmin(known)
        assert high > np.nanmax(known)

    def test_what_was_not_swept_says_so(self) -> None:
        table = SweepTable([*sweep("cat", "hidden1"), *sweep("dog", "hidden2")])
        for plot in (plot_networks, plot_nnu_accuracy):
            figure = plot(table)
            said = [[item.get_text() for item in axes.texts] == ["not swept"] for axes in figure.axes[:4]]
            assert said == [False, True, True, False]

    def test_of_many_networks_the_first_are_drawn(self) -> None:
        table = SweepTable(row for index in range(14) for row in sweep(f"net{index}", count=2))
        for plot in (plot_networks, plot_nnu_accuracy):
            figure = plot(table)
            titles = [axes.get_title(loc="left") for axes in figure.axes[: sweeps_plot.NETWORKS]]
            assert titles == [f"net{index}" for index in range(12)]
            assert figure.get_suptitle() == "the first 12 of 14 networks"
        assert plot_networks(STUDY).get_suptitle() == ""

    def test_other_measures(self) -> None:
        with pytest.raises(
            ValueError, match=r"measure: expected 'train_' or 'test_' and one of .*, got 'accuracy'"
        ):
            plot_networks(STUDY, "accuracy")


class TestNnuAccuracy:
    @pytest.mark.parametrize("part", ["train", "test"])
    def test_points_are_the_networks(self, part: Any) -> None:
        figure = plot_nnu_accuracy(STUDY, part)
        pairs = itertools.product(STUDY.sweeps, STUDY.networks)
        for axes, (name, network) in zip(figure.axes[:12], pairs, strict=True):
            cell = STUDY.of(network, name)
            nnu, accuracy = cell.column(f"{part}_nnu"), cell.column(f"{part}_accuracy")
            np.testing.assert_array_equal(dots(axes)[0], expected(nnu, accuracy))
            fit = best_fit(nnu, accuracy)
            assert fit is not None
            np.testing.assert_allclose(lines(axes)[0].get_ydata(), fit.at(lines(axes)[0].get_xdata()))
        assert [bar.get_ylabel() for bar in figure.axes[12:]] == [
            "learning rate", "width of hidden layer 1", "width of hidden layer 2", "width of hidden layer 3",
        ]  # fmt: skip

    def test_several_in_one_place_are_one_larger_point(self) -> None:
        table = SweepTable(record(value, dead=4 if value < 4 else 8) for value in range(1, 7 + 1))
        (points,) = plot_nnu_accuracy(table).axes[0].collections
        assert points.get_offsets()[:, 0].tolist() == [4 / 33, 8 / 33]  # type: ignore[index, call-overload]
        sizes = points.get_sizes()  # type: ignore[attr-defined]
        assert sizes[1] / sizes[0] == pytest.approx(4 / 3)

    def test_other_parts(self) -> None:
        with pytest.raises(ValueError, match="part: expected 'train' or 'test', got 'all'"):
            plot_nnu_accuracy(STUDY, "all")  # type: ignore[arg-type]


ODD = {
    "one record": [record()],
    "one learning rate": [record(0.01, sweep="learning_rate")],
    "nothing but diverged": [diverged(1), diverged(2)],
    "all equal": [record(value) for value in range(1, 51)],
    "all of one class": [record(value, tpr=0.0) for value in range(1, 9)],
    "worse than chance": [record(value, test_cohens_kappa=-0.1 * value) for value in range(1, 9)],
    "NaN here and there": [record(1, test_precision=math.nan), record(2, test_nnu=None), record(3)],
    "nasty names": [record(index, network=name, sweep=name) for name in NASTY_NAMES[1:4] for index in (1, 2)],
}


@pytest.mark.parametrize("name", ODD)
def test_every_table_can_be_drawn(name: str) -> None:
    table = SweepTable(ODD[name])
    drawn(plot_networks(table))
    drawn(plot_nnu_accuracy(table))
    for network, swept in zip(table.networks, table.sweeps, strict=True):
        figure = plot_sweep(table.of(network, swept))
        assert figure.axes[0].get_ylim() == (-0.05, 1.05)


def test_kappa_below_0_is_inside() -> None:
    axes = plot_sweep(SweepTable(ODD["worse than chance"])).axes[MEASURES.index("cohens_kappa")]
    assert axes.get_ylim()[0] < -0.8


@pytest.mark.parametrize("plot", [plot_networks, plot_nnu_accuracy])
@pytest.mark.parametrize(
    "networks", [("cat",), ("a network whose name is too long for its panel", "dog"), tuple("abcde")]
)
def test_texts_do_not_overlap(plot: Any, networks: tuple[str, ...]) -> None:
    assert_apart(plot(SweepTable(study(networks))))


@pytest.mark.parametrize("plot", [plot_networks, plot_nnu_accuracy])
def test_nothing_to_plot_is_an_error(plot: Any) -> None:
    with pytest.raises(ValueError, match="table: expected at least one record, got none"):
        plot(SweepTable([]))


class TestFreezing:
    def test_dots_and_bars_are_the_subsets(self) -> None:
        rows = freezing()
        figure = drawn(plot_freezing(rows))
        found = subsets(rows)
        _, _, _, matrix, accuracy, nnu = figure.axes
        marks = matrix.collections[0]
        dark = marks.get_facecolor() == to_rgba(freezing_plot.FROZEN)  # type: ignore[operator]
        frozen = {tuple(place) for place in marks.get_offsets()[dark.all(axis=1)].tolist()}  # type: ignore[index, call-overload]
        assert frozen == {
            (LAYERS.index(layer), index) for index, row in enumerate(found) for layer in row["frozen"]
        }
        assert len(marks.get_offsets()) == 16 * 4  # type: ignore[arg-type]
        joined = [(tuple(line.get_xdata()), line.get_ydata()[0]) for line in matrix.lines]  # type: ignore[arg-type, index]
        assert joined == [
            ((LAYERS.index(row["frozen"][0]), LAYERS.index(row["frozen"][-1])), index)
            for index, row in enumerate(found)
            if len(row["frozen"]) > 1
        ]
        (others,) = [line for line in accuracy.lines if line.get_marker() == "|"]
        assert list(others.get_xdata()) == [row["train_accuracy"] for row in found]
        for axes, key in ((accuracy, "test_accuracy"), (nnu, "test_nnu")):
            bars = axes.containers[0]
            assert [bar.get_width() for bar in bars] == [row[key] for row in found]  # type: ignore[union-attr]
        assert [label.get_text() for label in matrix.get_xticklabels()] == list(LAYERS)
        assert matrix.get_ylim() == accuracy.get_ylim() == nnu.get_ylim() == (15.5, -0.5)

    def test_changes_are_above_their_layers(self) -> None:
        rows = freezing()
        changes, _, _, matrix, *_ = plot_freezing(rows, "train").axes
        heights = [bar.get_height() for bar in changes.patches]  # type: ignore[attr-defined]
        assert heights == [effect.accuracy for effect in effects(rows, "train")]
        assert changes.get_xlim() == matrix.get_xlim()

    def test_diverged_and_one_class(self) -> None:
        rows = freezing(LAYERS[:2])
        rows[1] |= {"test_accuracy": math.nan, "test_nnu": math.nan, "diverged": 1300}
        rows[2] |= {"test_true_positive_rate": 0.0, "test_false_positive_rate": 0.0}
        figure = drawn(plot_freezing(rows))
        texts = [item.get_text() for item in figure.axes[4].texts]
        assert "diverged at iteration 1,300" in texts
        hollow = [bar.get_facecolor()[3] == 0 for bar in figure.axes[4].containers[0]]  # type: ignore[union-attr]
        place = [row["frozen"] for row in subsets(rows)].index(rows[2]["frozen"])
        assert hollow == [index == place for index in range(4)]

    def test_nothing_frozen_is_the_dotted_line(self) -> None:
        rows = freezing(LAYERS[:3])
        figure = plot_freezing(rows)
        for axes, key in zip(figure.axes[4:], ("test_accuracy", "test_nnu"), strict=True):
            (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
            assert list(line.get_xdata()) == [rows[0][key]] * 2
        legend = plot_freezing(rows[1:]).axes[1].get_legend()
        assert legend is not None
        assert "nothing frozen" not in [item.get_text() for item in legend.get_texts()]

    @pytest.mark.parametrize(
        "layers", [LAYERS[:1], LAYERS, (*LAYERS, "a.b.c.hidden_layer_number_three", "b")]
    )
    def test_texts_do_not_overlap(self, layers: tuple[str, ...]) -> None:
        assert_apart(plot_freezing(freezing(layers)))

    def test_of_too_many_the_best_and_the_worst_are_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(freezing_plot, "LIMIT", 4)
        rows = freezing()
        figure = drawn(plot_freezing(rows))
        found = subsets(rows)
        widths = [bar.get_width() for bar in figure.axes[4].containers[0]]  # type: ignore[union-attr]
        assert widths == [row["test_accuracy"] for row in (*found[:2], *found[-2:])]
        assert figure.get_suptitle() == (
            "cat to dog: 16 subsets of frozen layers, the best 2 and the worst 2 of them"
        )

    def test_names_are_drawn_as_they_are(self) -> None:
        figure = drawn(
            plot_freezing([{**row, "network": "$\\nonsense{$"} for row in freezing(NASTY_NAMES[:5])])
        )
        assert figure.get_suptitle().startswith("$\\nonsense{$: 32")

    def test_nothing_but_diverged(self) -> None:
        lost = {f"{part}_{key}": None for part in ("train", "test") for key in ("accuracy", "nnu")}
        drawn(plot_freezing([{**row, **lost, "diverged": 3} for row in freezing()]))
