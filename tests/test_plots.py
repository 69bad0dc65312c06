from __future__ import annotations

import io
import itertools
import subprocess
import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import StepPatch

from neurocensus import plots
from neurocensus.compare import compare
from neurocensus.metrics import Range, Spectrum
from neurocensus.plots import spectra as spectra_module
from neurocensus.plots import style
from neurocensus.result import Audit

from .audit_samples import NASTY_NAMES, audit_of, relu_arrays


def drawn(figure: Figure) -> Figure:
    """The figure after a draw: layout done, every text parsed."""
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def all_figures(audit: Audit) -> dict[str, Figure]:
    comparison = compare({"a": audit, "b_$_b": audit}, accuracy={"a": 0.9})
    return {
        "spectrum": audit.plot_spectrum(),
        "range": audit.plot_range(),
        "dead": audit.plot_dead(),
        "nnu": comparison.plot_nnu(),
        "ranges": comparison.plot_range(),
        "spectra": comparison.plot_spectrum(),
    }


def spike_and_bins(figure: Figure) -> tuple[Axes, Axes]:
    return figure.axes[0], figure.axes[1]


AUDITS = {
    "3 layers": audit_of(relu_arrays(3, units=40)),
    "60 layers": audit_of(relu_arrays(60)),
    "nasty names": audit_of({name: [[0.0, 1.0]] for name in NASTY_NAMES}),
    "all dead": audit_of({"a": np.zeros((3, 5))}),
    "one unit": audit_of({"a": [[2.0]]}),
    "negative": audit_of({"a": [[-1.0, -2.0]]}),
    "float32's ends": audit_of({"a": [[3.4e38, -3.4e38]], "b": [[3.4e38]], "c": [[1e-45]]}),
    "nothing finite": audit_of({"a": [[np.nan, np.inf]]}),
    "unseen": audit_of({"a": np.zeros((0, 3)), "b": np.ones((1, 2))}),
    "no layer": audit_of({}),
}


@pytest.mark.parametrize("name", AUDITS)
def test_every_audit_can_be_drawn(name: str) -> None:
    for figure in all_figures(AUDITS[name]).values():
        drawn(figure)


def test_pyplot_is_never_touched() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from audit_samples import audit_of, relu_arrays\n"
        "audit_of(relu_arrays(2)).plot_spectrum().savefig('/dev/null', format='png')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_of_the_user_are_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    for figure in all_figures(AUDITS["3 layers"]).values():
        drawn(figure)
    assert dict(matplotlib.rcParams) == before


def test_names_are_drawn_as_they_are() -> None:
    """A name with $...$ would be parsed as a formula, and this one would raise."""
    name = "$\\nonsense{$"
    audit = audit_of({name: [[0.0, 1.0]], "other": [[1.0]]}, model=name)
    for figure in all_figures(audit).values():
        drawn(figure)
    labels = [label.get_text() for label in audit.plot_dead().axes[0].get_yticklabels()]
    assert labels == [name, "other"]


class TestNames:
    @given(st.text() | st.text("層é😀\\x00$.", min_size=30), st.integers(4, 60))
    def test_what_no_font_has_is_spelled_out_within_the_width(self, name: str, width: int) -> None:
        shown = style.display_name(name, width)
        assert len(shown) <= width
        assert shown.isprintable()
        assert {ord(letter) for letter in shown} <= style._glyphs(tuple(FontProperties().get_family()))
        assert style.display_name(shown, width) == shown

    def test_an_escape_counts_as_long_as_it_is(self) -> None:
        assert style.display_name("層é", 12) == r"\u5c64é"
        assert style.display_name("層" * 80, 12) == r"\u5…64\u5c64"
        assert style.display_names(["層" * 80, "層" * 79 + "x"], 12) == [r"\u5…64\u5c64", r"\u5…4\u5c64x"]

    def test_a_long_one_stays_in_the_picture(self) -> None:
        name = "層" * 80
        for figure in all_figures(audit_of({name: [[0.0, 1.0]], "b": [[1.0]]}, model=name)).values():
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            texts: list[Any] = [label for axes in figure.axes for label in axes.get_yticklabels()]
            texts += [title for axes in figure.axes for title in (axes.title, axes._left_title)]  # type: ignore[attr-defined]
            for item in (*texts, *figure.texts):
                if item.get_text():
                    box = item.get_window_extent(canvas.get_renderer())
                    assert box.x0 >= -1, item
                    assert box.x1 <= figure.bbox.x1 + 1, item


class TestReadability:
    @pytest.mark.parametrize("kind", ["range", "dead", "ranges"])
    @pytest.mark.parametrize("audit", ["3 layers", "60 layers"])
    def test_names_and_numbers_neither_overlap_nor_leave_the_figure(self, audit: str, kind: str) -> None:
        figure = all_figures(AUDITS[audit])[kind]
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        for axes in figure.axes:
            names = [label for label in axes.get_yticklabels() if label.get_visible() and label.get_text()]
            for texts in (names, axes.texts):
                boxes = sorted((text.get_window_extent(renderer) for text in texts), key=lambda box: box.y0)
                assert all(a.y1 <= b.y0 + 1 for a, b in itertools.pairwise(boxes))
                assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert len(figure.axes[0].get_yticklabels()) == len(AUDITS[audit].layers)

    def test_few_layers_get_a_legend_and_many_a_colour_bar(self) -> None:
        few, many = AUDITS["3 layers"].plot_spectrum(), AUDITS["60 layers"].plot_spectrum()
        legend = [text.get_text() for text in few.legends[0].get_texts()]
        assert legend[::-1] == style.display_names(list(AUDITS["3 layers"].layers), 28)  # as they are stacked
        assert not many.legends
        labels = [label.get_text() for label in many.axes[-1].get_yticklabels()]
        assert len(labels) == 5
        assert labels[0].startswith("…stage0")
        assert labels[-1].startswith("…stage7")

    def test_hundreds_of_layers_name_some(self) -> None:
        figure = drawn(audit_of({f"layer{index}": [[1.0]] for index in range(700)}).plot_range())
        shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert 50 < len(shown) <= 120
        assert shown[0] == "layer0"
        assert figure.get_figheight() < 30

    def test_layers_can_be_told_apart_without_colour_vision(self) -> None:
        """The colours get steadily lighter with depth."""
        red, green, blue, _ = style.depth_colors(60).T
        lightness = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
        assert (np.diff(lightness) > 0).all()


class TestSpectrum:
    @settings(max_examples=15)
    @given(
        st.lists(st.lists(st.integers(0, 40), min_size=4, max_size=4), min_size=1, max_size=5),
        st.integers(0, 60),
        st.booleans(),
    )
    def test_the_top_of_each_bar_is_its_number_of_units(
        self, rows: list[list[int]], dead: int, logarithmic: bool
    ) -> None:
        spectrum = made(rows, dead * 1000 if logarithmic else 0)
        total = np.array(rows).sum(axis=0)
        figure = plots.plot_spectrum({"m": spectrum})
        _, bins = spike_and_bins(figure)
        steps = [patch for patch in bins.patches if isinstance(patch, StepPatch)]
        assert len(steps) == len(rows)
        top = np.array(steps[-1].get_data().values)
        floor = spectra_module.FLOOR if bins.get_yscale() == "log" else 0
        np.testing.assert_allclose(top, np.where(total > 0, total, floor))
        for lower, upper in itertools.pairwise(steps):  # stacked without gap or overlap
            np.testing.assert_allclose(upper.get_data().baseline, lower.get_data().values)
            assert (np.array(upper.get_data().values) >= np.array(upper.get_data().baseline) - 1e-9).all()

    def test_a_tall_spike_does_not_flatten_the_rest(self) -> None:
        low, tall = (plots.plot_spectrum({"m": made([[5, 3, 2, 1]], dead)}) for dead in (10, 5000))
        for figure, scale in ((low, "linear"), (tall, "log")):
            spike, bins = spike_and_bins(drawn(figure))
            assert spike.get_yscale() == bins.get_yscale() == scale
            low_y, high_y = bins.transData.transform([(0, 1), (0, 5)])[:, 1]
            assert (high_y - low_y) / bins.bbox.height > 0.15  # 1 and 5 units are still told apart

    def test_on_a_log_axis_colours_split_each_bar_by_share(self) -> None:
        figure = plots.plot_spectrum({"m": made([[50, 1], [50, 3]], 10**6)})
        _, bins = spike_and_bins(figure)
        steps = [patch for patch in bins.patches if isinstance(patch, StepPatch)]
        edge, top = np.log(steps[0].get_data().values), np.log(steps[1].get_data().values)
        floor = np.log(spectra_module.FLOOR)
        np.testing.assert_allclose((edge - floor) / (top - floor), [0.5, 0.25])

    def test_units_are_counted_in_whole_numbers(self) -> None:
        """A tick at half a unit would be labelled with a number that is not its own."""
        spike, _ = spike_and_bins(plots.plot_spectrum({"a": made([[1, 1]], dead=1)}))
        assert all(tick == round(tick) for tick in spike.get_yticks())

    def test_dead_units_have_a_bar_of_their_own(self) -> None:
        figure = plots.plot_spectrum({"m": made([[4, 4]], 12)})
        spike, bins = spike_and_bins(figure)
        (bar,) = spike.patches
        assert bar.get_height() == 12  # type: ignore[attr-defined]
        assert bar.get_hatch()
        assert spike.texts[0].get_text() == "12\n60 %"
        assert sum(patch.get_data().values.sum() for patch in bins.patches) == 8  # type: ignore[attr-defined]

    def test_models_share_both_axes(self) -> None:
        a, b = audit_of({"a": [[0.0, 1.0, 2.0]]}), audit_of({"a": [[9.0, 9.0, 9.0]]})
        figure = drawn(compare({"a": a, "b": b}).plot_spectrum())
        first, second = figure.axes[1], figure.axes[3]
        assert first.get_xlim() == second.get_xlim() == (0, 9)
        assert first.get_ylim() == second.get_ylim()

    def test_more_layers_than_bands_lose_no_unit(self) -> None:
        layers = spectra_module.BANDS * 2 + 3
        figure = plots.plot_spectrum({"m": made([[1, 0]] * layers, 0)})
        _, bins = spike_and_bins(figure)
        assert len(bins.patches) == spectra_module.BANDS
        assert bins.patches[-1].get_data().values.tolist() == [layers, 0]  # type: ignore[attr-defined]


def made(rows: list[list[int]], dead: int) -> Spectrum:
    counts = {str(index): np.array(row, np.int64) for index, row in enumerate(rows)}
    return Spectrum(
        edges=np.linspace(0, 1, len(rows[0]) + 1), counts=counts,
        dead={name: dead if name == "0" else 0 for name in counts}, left_out=dict.fromkeys(counts, 0),
        skewness=0.0, skewness_living=0.0, layer_skewness=dict.fromkeys(counts, 0.0),
    )  # fmt: skip


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.containers[0]]  # type: ignore[attr-defined]


class TestBars:
    def test_range_bars_are_the_maxima_from_top_to_bottom(self) -> None:
        axes = audit_of({"a": [[1.0, 3.0]], "b": [[2.0]], "c": [[-1.0]]}).plot_range().axes[0]
        assert widths(axes) == [3, 2, -1]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top
        assert "consistency" in axes.get_title(loc="left")

    def test_range_says_which_layers_have_none(self) -> None:
        axes = plots.plot_range({"m": Range({"a": 1.0}, 0.0, ("gone",))}).axes[0]
        assert [text.get_text() for text in axes.texts] == ["1", "no finite value"]

    def test_models_with_the_same_layers_name_them_once(self) -> None:
        same = drawn(plots.plot_range({"m": Range({"a": 1.0}, 0.0), "n": Range({"a": 9.0}, 0.0)}))
        assert [axes.yaxis.get_tick_params()["labelleft"] for axes in same.axes] == [True, False]
        assert same.axes[0].get_xlim() == same.axes[1].get_xlim()
        other = drawn(plots.plot_range({"m": Range({"a": 1.0}, 0.0), "n": Range({"b": 9.0}, 0.0)}))
        assert [axes.yaxis.get_tick_params()["labelleft"] for axes in other.axes] == [True, True]

    def test_dead_bars_are_shares_of_the_layer(self) -> None:
        axes = audit_of({"a": [[0.0, 1.0]], "b": [[1.0]], "c": np.zeros((0, 1))}).plot_dead().axes[0]
        assert widths(axes) == [0.5, 0, 0]
        assert [text.get_text() for text in axes.texts] == ["50 % (1 of 2)", "0", "unseen"]

    def test_nnu_colours_are_the_accuracies(self) -> None:
        figure = drawn(plots.plot_nnu({"a": 0.5, "b": 0.25, "c": 0.1}, {"a": 0.6, "b": 0.9}))
        axes = figure.axes[0]
        assert widths(axes) == [0.5, 0.25, 0.1]
        a, b, c = (bar.get_facecolor() for bar in axes.containers[0])  # type: ignore[attr-defined]
        cividis = matplotlib.colormaps["cividis"]
        assert (a, b) == (cividis(0.0), cividis(1.0))
        assert c == matplotlib.colors.to_rgba(style.MISSING)
        assert figure.legends[0].get_texts()[0].get_text() == "no accuracy given"
        assert len(figure.axes) == 2  # with a colour bar

    def test_nnu_without_any_accuracy_has_no_colour_bar(self) -> None:
        assert len(plots.plot_nnu({"a": 0.5}).axes) == 1

    @pytest.mark.parametrize("plot", [plots.plot_nnu, plots.plot_range, plots.plot_spectrum])
    def test_nothing_to_plot_is_an_error(self, plot: Any) -> None:
        with pytest.raises(ValueError, match="expected at least one model, got none"):
            plot({})
