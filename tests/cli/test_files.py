"""``compare``, ``merge`` and ``report``: saved audits in, files out."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import storage
from neurocensus.auditor import audit
from neurocensus.cli.compare import names_of
from neurocensus.data import open_data
from neurocensus.loading import load_model

if TYPE_CHECKING:
    from .conftest import Run


@pytest.fixture
def audits(here: Path) -> list[str]:
    """Of the first part of the data, the second, and the whole."""
    model, files = load_model("a net.py:Half"), []
    for name in ("first", "second", "x"):
        (here / name).mkdir()
        files.append(f"{name}/audit.safetensors")
        audit(model, open_data(f"{name}.npz").batches).save(files[-1])
    return files


def test_merged_parts_are_the_whole(run: Run, audits: list[str]) -> None:
    """Pitfall 17: unequal parts. Counts, extrema and example indices are exact."""
    result = run("merge", *audits[:2], "--out", "both.safetensors")
    assert result.exit_code == 0, result.output
    both, whole = storage.load("both.safetensors"), storage.load(audits[2])
    assert (both.examples, both.values, both.nnu) == (whole.examples, whole.values, whole.nnu)
    for field in ("nonzero", "active_examples", "max", "min", "argmax"):
        np.testing.assert_array_equal(
            getattr(both.layers["act"].state, field), getattr(whole.layers["act"].state, field)
        )


def test_a_merge_to_a_folder_leaves_what_an_audit_does(run: Run, here: Path, audits: list[str]) -> None:
    result = run("merge", *audits[:2], "--out", "both")
    assert result.exit_code == 0, result.output
    assert {"audit.safetensors", "report.html", "range.png"} <= {p.name for p in (here / "both").iterdir()}


def test_a_comparison_by_names_of_ones_own(run: Run, here: Path, audits: list[str]) -> None:
    result = run("compare", *audits[1:], "--name", "pärt", "--name", "<b>whole</b>", "--out", "both")
    assert result.exit_code == 0, result.output
    assert "pärt" in result.stdout
    assert "<b>whole</b>" in result.stdout
    assert "compare over the same data" in " ".join(result.stdout.split())
    page = (here / "both" / "report.html").read_text(encoding="utf-8")
    assert "<b>whole" not in page
    assert {"report.html", "nnu.png", "range.png", "spectrum.png"} <= {
        p.name for p in (here / "both").iterdir()
    }


def test_a_comparison_as_json_by_the_folders_names(run: Run, audits: list[str]) -> None:
    numbers = json.loads(run("compare", *audits, "--json").stdout)
    assert [row["model"] for row in numbers["models"]] == ["first", "second", "x"]


def test_a_report_to_a_page_or_a_folder(run: Run, here: Path, audits: list[str]) -> None:
    assert run("report", audits[0], "--out", "a page.html").exit_code == 0
    assert "Half" in (here / "a page.html").read_text(encoding="utf-8")
    assert run("report", audits[0], "--out", "a folder").exit_code == 0
    assert (here / "a folder" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["merge", "{a}", "--out", "m.safetensors"], "two or more"),
        (["merge", "{a}", "none", "--out", "m.safetensors"], "none"),
        (["merge", "{a}", "{a}", "--out", "no/such/m.safetensors"], "no/such"),
        (["compare", "{a}", "{a}"], "same file twice"),
        (["compare", "{a}", "--name", "a", "--name", "b"], "one for each of the 1 files, got 2"),
        (["compare", "{a}", "{a}", "--name", "a", "--name", "a"], "different names"),
        (["report", "x.npz", "--out", "r"], "x.npz"),
        (["report", "cut.safetensors", "--out", "r"], "cut.safetensors"),
        (["report", "{a}", "--out", "no/such/r.html"], "no/such"),
    ],
)
def test_errors_are_one_message(
    run: Run, here: Path, audits: list[str], words: list[str], message: str
) -> None:
    content = Path(audits[0]).read_bytes()
    Path("cut.safetensors").write_bytes(content[: len(content) // 2])
    before = set(here.iterdir())
    result = run(*(word.format(a=audits[0]) for word in words))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert set(here.iterdir()) == before


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
    lambda parts: Path(PurePosixPath(*parts).with_suffix(".safetensors"))
)


@given(st.lists(PATHS, min_size=1, max_size=6, unique=True))
def test_different_files_get_different_names(paths: list[Path]) -> None:
    names = names_of(paths)
    assert len(set(names)) == len(paths)
    assert all(names)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["run/frozen.safetensors", "run/tuned.safetensors"], ["frozen", "tuned"]),
        (["a/plain/audit.safetensors", "a/tuned/audit.safetensors"], ["plain", "tuned"]),
        (["a/1/audit.safetensors", "b/1/audit.safetensors"], ["a/1", "b/1"]),
    ],
)
def test_names_are_what_tells_paths_apart(paths: list[str], names: list[str]) -> None:
    assert names_of([Path(path) for path in paths]) == names
