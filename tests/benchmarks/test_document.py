"""docs/benchmarks.md: tables, pictures, and notes on peers that are faster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.harness import beside, document, plots
from benchmarks.harness.__main__ import main
from benchmarks.harness.beside import GROUPS, Beside
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import Benchmark, Stored
from hypothesis import given
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .samples import benchmark, machine, rounds, run

BUFFERS = GROUPS[0]


def peer(name: str, values: Sequence[float], group: str = BUFFERS, **params: Any) -> Benchmark:
    return benchmark(
        f"test_peer[{name}]",
        {f"times faster than {name}": Stored(Ratio.of(values), "higher")},
        group=group,
        params={"layout": "rows", "dtype": "float32", "peer": name} | params,
        notes={"peer_computes": f"what {name} does"},
    )


def update(layout: str, histogram: bool, share: float) -> Benchmark:
    params = {"layout": layout, "dtype": "float32", "values": "half-normal", "histogram": histogram}
    return benchmark(
        f"test_update[{layout}]",
        {"share of plain read": Stored(Ratio.of([0.9 * share, share]), "higher")},
        group="update",
        params=params | {"state": "streaming", "threads": 2},
    )


def written(tmp_path: Path, benchmarks: Sequence[Benchmark]) -> str:
    document.write(run(benchmarks), tmp_path / "page.md")
    return (tmp_path / "page.md").read_text()


# Beside peers.


def test_a_row_per_peer_and_a_column_per_workload() -> None:
    half = peer("NumPy", [3.0, 4.0, 5.0], dtype="bfloat16")
    plain = replace(peer("loops", [300.0]), params={"layout": "rows"})  # without a dtype: float32
    found = Beside.of(BUFFERS, [peer("NumPy", [4.0]), half, plain])
    assert found.table() == [
        "| times faster than | rows, float32 | rows, bfloat16 |",
        "| --- | --- | --- |",
        "| NumPy | 4<br><sub>4 to 4</sub> | 4<br><sub>3 to 5</sub> |",
        "| loops | 300<br><sub>300 to 300</sub> |  |",
    ]
    assert found.peers_table()[2:] == ["| NumPy | what NumPy does |", "| loops | what loops does |"]
    assert found.notes({}) == []


@given(rounds)
def test_a_peer_that_is_faster_is_marked_and_must_be_explained(values: list[float]) -> None:
    found = Beside.of(BUFFERS, [peer("NumPy", values)])
    faster = Ratio.of(values).median < 1
    assert ("peer is faster**" in "\n".join(found.table())) == faster
    if not faster:
        assert found.notes({}) == []
        return
    workload = "rows, float32"
    with pytest.raises(ValueError, match=r"got none for \[\('NumPy', 'rows, float32'\)\] in the group"):
        found.notes({(BUFFERS, "NumPy", "another workload"): "it does less"})
    assert found.notes({(BUFFERS, "NumPy", workload): "it does less"}) == [
        "- **NumPy** (rows, float32): it does less"
    ]


def test_one_workload_cannot_have_two_ratios_to_one_peer() -> None:
    with pytest.raises(ValueError, match="a second ratio for 'NumPy' and the same workload"):
        Beside.of(BUFFERS, [peer("NumPy", [1.0]), peer("NumPy", [2.0])])


def test_notes_are_on_groups_that_exist() -> None:
    assert {group for group, _, _ in beside.WHY_FASTER} <= set(GROUPS)


# The page.


def test_the_page_shows_every_picture_and_every_group(tmp_path: Path) -> None:
    benchmarks = [
        peer("NumPy", [4.0, 5.0]), peer("Captum", [1.5, 2.5], GROUPS[1], network="VGG-16"),
        update("rows", False, 0.9), update("rows", True, 0.4), update("columns", False, 0.7),
        benchmark("test_new", group="a group that no section knows", notes={"what": "$x_1$ | **bold**"}),
    ]  # fmt: skip
    page = written(tmp_path, benchmarks)
    shown = re.findall(r"!\[.+\]\(page/(.+\.png)\)", page)
    assert sorted(shown) == sorted(path.name for path in (tmp_path / "page").iterdir())
    assert {"buffers.png", "models.png", "shares.png"} <= set(shown)
    assert all((tmp_path / "page" / name).read_bytes().startswith(b"\x89PNG") for name in shown)
    assert "## A group that no section knows" in page
    assert "| Abacus 9" in page or "Abacus 9" in page
    assert "at least 0.8" in page  # targets


def test_sections_without_figures_say_so(tmp_path: Path) -> None:
    page = written(tmp_path, [benchmark("test_a", group="a")])
    assert page.count(document.NOT_MEASURED) >= 3
    assert list((tmp_path / "page").iterdir()) == []


def test_a_missing_note_stops_the_command_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    faster = run([peer("a peer nobody knows", [0.5])])
    monkeypatch.setattr(document.Run, "load", lambda path: faster)
    assert main(["document", "run.json", "--out", str(tmp_path / "page.md")]) == 1
    assert "expected a note for each peer and workload where it is faster" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_short_form_is_no_document(tmp_path: Path) -> None:
    short = replace(run([]), machine=machine(short=True))
    with pytest.raises(ValueError, match="expected the full form"):
        document.write(short, tmp_path / "page.md")


# Pictures.


def texts(figure: Figure) -> list[Any]:
    figure.draw_without_rendering()
    return [text for axes in figure.axes for text in (*axes.get_yticklabels(), *axes.texts, axes.title)]


@pytest.mark.parametrize("name", ["NumPy", "a $very$ long name " * 9, "µ_{1}\n漢"])
def test_bars_have_a_name_and_a_number_and_do_not_overlap(name: str) -> None:
    members = [peer(p, [f, 2 * f]) for p, f in (("a", 0.001), ("b", 1.0), (name, 50_000.0))]
    figure = plots.beside(Beside.of(BUFFERS, members))
    labels = texts(figure)
    assert {"0.0015", "1.5", "75000"} <= {label.get_text() for label in labels}
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    inside = figure.bbox.padded(1)
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)


@given(rounds)
def test_a_bar_reaches_from_1_to_the_median(values: list[float]) -> None:
    ratio = Ratio.of(values)
    figure = plots.beside(Beside.of(BUFFERS, [peer("NumPy", values)]))
    (bar,) = figure.axes[0].patches
    assert sorted([bar.get_x(), bar.get_x() + bar.get_width()]) == pytest.approx(sorted([1, ratio.median]))
    low, high = figure.axes[0].get_xlim()
    assert low < min(1, ratio.low)
    assert high > max(1, ratio.high)


def test_shares_have_one_colour_for_each_kind() -> None:
    ratio = Ratio.of([0.5, 0.7])
    figure = plots.shares({"without": {"rows": ratio, "columns": ratio}, "with": {"rows": ratio}}, "share")
    colors = [bar.get_facecolor() for bar in figure.axes[0].patches]
    assert colors[0] == colors[1] != colors[2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["without", "with"]


def test_growth_has_a_tick_at_each_size_and_the_highest_first() -> None:
    series = {"audit": [(64.0, 300.0), (1024.0, 301.0)], "$peer$": [(64.0, 400.0), (256.0, 1600.0)]}
    figure = plots.growth(series, "examples", "MiB")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["64", "256", "1,024"]
    assert [list(line.get_xdata()) for line in axes.lines] == [[64, 256], [64, 1024]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$peer$", "audit"]
    figure.draw_without_rendering()  # a name with dollar signs is no formula
    assert plots.growth({"audit": series["audit"]}, "examples", "MiB").legends == []  # there is one line


def test_memory_is_a_picture_and_a_table_of_ways_by_examples(tmp_path: Path) -> None:
    benchmarks = [
        benchmark(
            f"test_memory[{way}-{examples}]",
            group="memory",
            params={"way": way, "examples": examples},
            notes={"peak_mib": peak, "over_forward_mib": peak - 100},
        )
        for way, examples, peak in (("audit", 64, 110.0), ("audit", 256, 110.5), ("Captum", 64, 900.0))
    ]
    page = written(tmp_path, benchmarks)
    assert "![Peak memory, MiB against examples](page/memory.png)" in page
    table = ["| way | 64 examples | 256 examples |", "| --- | --- | --- |",
             "| audit | 10 | 10.5 |", "| Captum | 800 |  |"]  # fmt: skip
    assert "\n".join(table) in page
