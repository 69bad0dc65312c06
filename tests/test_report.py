from __future__ import annotations

import base64
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from neurocensus import text
from neurocensus.compare import Comparison, compare
from neurocensus.report import render, save_all
from neurocensus.result import Audit
from neurocensus.storage import load

from .audit_samples import NASTY_NAMES, audit_of, relu_arrays

PNG = b"\x89PNG\r\n\x1a\n"
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: tags, attributes and the text of table cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend((tag, name, value or "") for name, value in attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def nasty() -> Audit:
    return audit_of(
        {name: [[0.0, 1.0]] for name in NASTY_NAMES},
        model="<img src=x onerror=alert(1)>", never_fired=["<script>gone</script>"],
        annotations={"<i>note": "<svg onload=alert(2)>"},
    )  # fmt: skip


SUBJECTS = {
    "audit": audit_of(relu_arrays(3)),
    "names of markup": nasty(),
    "comparison": compare({"a": audit_of(relu_arrays(2)), "b": audit_of(relu_arrays(2, seed=1))}),
    "comparison of markup": compare({"<script>alert(3)</script>": nasty(), "b": audit_of(relu_arrays(2))}),
    "no layer": audit_of({}),
}


@pytest.mark.parametrize("name", SUBJECTS)
class TestPage:
    def test_is_well_formed_and_without_scripts(self, name: str) -> None:
        page = Page(render(SUBJECTS[name]))
        assert page.open == []
        assert not {"script", "iframe", "object", "svg", "link", "i", "b", "form"} & set(page.tags)
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]

    def test_needs_nothing_from_outside(self, name: str) -> None:
        html = render(SUBJECTS[name])
        sources = [
            (tag, value) for tag, name, value in Page(html).attributes if name in ("src", "href", "srcset")
        ]
        assert len(sources) == 3
        for tag, value in sources:
            assert tag == "img"
            head, _, content = value.partition(",")
            assert head == "data:image/png;base64"
            assert base64.b64decode(content, validate=True).startswith(PNG)
        assert "@import" not in html
        assert "url(" not in html


class TestContent:
    def test_every_layer_name_is_there_literally(self) -> None:
        cells = Page(render(nasty())).cells
        for name in NASTY_NAMES:
            assert text.printable(name) in cells
        assert "<script>alert(1)</script>" in cells

    def test_the_numbers_for_people(self) -> None:
        audit = audit_of({"conv": [[0.0] * 9216 + [1.0]] * 2})
        words = " ".join(Page(render(audit)).text)
        for expected in ("9,216 of 9,217 units", "99.989 %", "50 %", "at most 77.6 % of examples"):
            assert expected in words

    def test_warnings_and_provenance(self) -> None:
        audit = audit_of(
            {"a": [[1.0]]}, threshold=0.125, expected=["a", "out_proj"], never_fired=["out_proj"],
            versions={"torch": "9.8.7"}, annotations={"accuracy": 0.5},
        )  # fmt: skip
        words = " ".join(Page(render(audit)).text)
        for expected in (
            "1 expected audit point never fired", "'out_proj'", "abs(value) <= 0.125", "torch 9.8.7", "eval",
            "2 expected, 1 fired, 1 never fired", "Note: accuracy", "axis 1: after a convolution", "float32",
        ):  # fmt: skip
            assert expected in words

    def test_no_warning_box_without_warnings(self) -> None:
        assert "alert" not in [
            value for _, name, value in Page(render(SUBJECTS["audit"])).attributes if name == "role"
        ]

    def test_a_comparison_shows_models_and_matched_layers(self) -> None:
        a, b = audit_of({"x": [[0.0, 1.0]], "y": [[1.0]]}), audit_of({"x": [[1.0, 1.0]]})
        cells = Page(render(compare({"frozen": a, "tuned": b}, accuracy={"frozen": 0.875}))).cells
        assert "0.875" in cells
        row = cells.index("x")
        assert cells[row : row + 3] == ["x", "50 %", "0 %"]
        row = cells.index("y")
        assert cells[row : row + 3] == ["y", "0 %", "-"]


class TestFiles:
    def test_report_is_one_file(self, tmp_path: Path) -> None:
        SUBJECTS["audit"].report(tmp_path / "run.html")
        assert os.listdir(tmp_path) == ["run.html"]
        html = (tmp_path / "run.html").read_text(encoding="utf-8")
        assert html.startswith("<!DOCTYPE html>")
        assert html.rstrip().endswith("</html>")

    @pytest.mark.parametrize(
        ("subject", "names"),
        [
            (
                SUBJECTS["audit"],
                ["audit.safetensors", "report.html", "spectrum.png", "range.png", "dead.png"],
            ),
            (
                SUBJECTS["comparison"],
                ["comparison.json", "report.html", "nnu.png", "spectrum.png", "range.png"],
            ),
        ],
    )
    def test_save_all_leaves_everything(
        self, tmp_path: Path, subject: Audit | Comparison, names: list[str]
    ) -> None:
        folder = tmp_path / "new" / "out"
        paths = save_all(subject, folder)
        assert paths == [folder / name for name in names]
        assert sorted(os.listdir(folder)) == sorted(names)
        for path in paths:
            if path.suffix == ".png":
                assert path.read_bytes().startswith(PNG)
        if isinstance(subject, Audit):
            assert load(paths[0]).units == subject.units

    def test_a_failed_save_leaves_the_old_files_all_of_them(self, tmp_path: Path) -> None:
        names = ["audit.safetensors", "dead.png", "range.png", "report.html"]
        for name in names:
            (tmp_path / name).write_text("old")
        (tmp_path / "spectrum.png").mkdir()  # what is written after the audit cannot be
        with pytest.raises(ValueError, match=r"spectrum\.png: expected the path of a file"):
            save_all(audit_of(relu_arrays(1)), tmp_path)
        assert sorted(os.listdir(tmp_path)) == [*names, "spectrum.png"]
        assert {(tmp_path / name).read_text() for name in names} == {"old"}
