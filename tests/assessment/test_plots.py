from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neurocensus.assessment import Roc, plot_relations, plot_roc, relations, roc

from ..audit_samples import NASTY_NAMES

LABELS = np.repeat([0, 1], 50)


def drawn(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def scored(separation: float) -> Roc:
    return roc(LABELS, np.random.default_rng(0).normal(size=100) + separation * LABELS)


class TestRoc:
    def test_lines_are_the_curves(self) -> None:
        curves = {"weak": scored(0.5), "fair": scored(1.0)}
        figure = drawn(plot_roc(curves))
        (axes,) = figure.axes
        for line, curve in zip(axes.lines[:2], curves.values(), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), np.column_stack([curve.fpr, curve.tpr]))
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()  # without colour vision too
        assert [item.get_text() for item in figure.legends[0].get_texts()] == [
            f"{name}   AUC {curve.auc:.3f}" for name, curve in curves.items()
        ]

    def test_good_models_get_a_second_look(self) -> None:
        whole, corner = drawn(plot_roc({"weak": scored(0.5), "good": scored(4.0)})).axes
        assert whole.get_xlim()[1] > 1
        assert corner.get_xlim()[1] < 0.25
        assert corner.get_ylim()[0] > 0.75
        assert len(corner.lines) == len(whole.lines)

    def test_a_model_without_a_curve_says_so(self) -> None:
        figure = drawn(plot_roc({"a": scored(1.0), "b": roc([1, 1], [0.1, 0.2])}))
        assert figure.legends[0].get_texts()[1].get_text() == "b   one class only"

    @pytest.mark.parametrize(("auc", "shown"), [(1.0, "1.000"), (0.99999999, "0.99999"), (0.5, "0.500")])
    def test_only_a_perfect_area_is_1(self, auc: float, shown: str) -> None:
        figure = plot_roc({"a": Roc(np.array([0, 1.0]), np.array([0, 1.0]), np.array([1, 0.0]), auc)})
        assert figure.legends[0].get_texts()[0].get_text() == f"a   AUC {shown}"

    def test_names_are_drawn_as_they_are(self) -> None:
        drawn(plot_roc({name: scored(1.0) for name in NASTY_NAMES}))

    def test_nothing_to_plot_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="curves: expected at least one model, got none"):
            plot_roc({})


class TestRelations:
    def test_points_and_bars_are_the_coefficients(self) -> None:
        found = relations(
            {"nnu": [5, 4, 3, 2, 1, 0], "skewness": [2, 1, 4, 3, 6, 0]},
            {"accuracy": [1, 2, 3, 4, 5, 6], "f1": [1, 2, 3, 4, 6, 5], "prevalence": [1] * 6},
        )
        figure = drawn(plot_relations(found))
        assert len(figure.axes) == 2
        for axes, measure in zip(figure.axes, found.measures, strict=True):
            points = [line for line in axes.lines if line.get_marker() == "o"]
            known = [found[measure, metric] for metric in ("accuracy", "f1")]
            assert [line.get_xdata()[0] for line in points] == [pair.coefficient for pair in known]  # type: ignore[index]
            bars = [collection.get_segments()[0] for collection in axes.collections]  # type: ignore[attr-defined]
            assert [tuple(bar[:, 0]) for bar in bars] == [(pair.low, pair.high) for pair in known]
            assert [item.get_text() for item in axes.texts] == ["the metric is constant"]
            full = [line.get_markerfacecolor() == line.get_color() for line in points]
            assert full == [pair.low > 0 or pair.high < 0 for pair in known]
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert labels == ["accuracy", "F1", "prevalence"]
        assert figure.axes[0].get_title(loc="left") == "NNU"

    def test_reasons_fit(self) -> None:
        figure = plot_relations(relations({"m": [1, 1]}, {f"metric {index}": [1, 2] for index in range(10)}))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        inside = figure.axes[0].get_window_extent()
        for item in figure.axes[0].texts:
            box = item.get_window_extent(canvas.get_renderer())
            assert inside.x0 <= box.x0
            assert box.x1 <= inside.x1

    def test_many_measures_and_nasty_names(self) -> None:
        values = [1.0, 3.0, 2.0, math.nan, 5.0]
        figure = drawn(
            plot_relations(relations(dict.fromkeys(NASTY_NAMES, values), {"$\\frac$ _x_": values}))
        )
        assert sum(axes.get_visible() for axes in figure.axes) == len(NASTY_NAMES)
        assert relations({"a": values}, {"b": values}).plot().axes
