"""docs/experiments.md and docs/results are true: Python runs, options exist, numbers are those kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurocensus.cli import app

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "experiments.md").read_text(encoding="utf-8")
RESULTS = (DOCS / "results" / "README.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on, of torch's loader
def test_the_python_runs(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dogs_vs_cats").symlink_to(photographs)
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    exec(code.replace("scale=0.01", "scale=0.008"), {})
    assert (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "models" / "thesis-5" / "audit.safetensors").exists()


def test_the_options_exist() -> None:
    helps = (["experiment", name, "--help"] for name in ("macro", "investigate"))
    shown = "".join(CliRunner().invoke(app, words, env={"COLUMNS": "200"}).output for words in helps)
    options = set(re.findall(r"(--[a-z][a-z-]+)", GUIDE)) - {"--only", "--out"}
    assert len(options) > 10
    assert all(option in shown for option in options), options


def test_the_table_of_results_is_that_of_the_kept_numbers() -> None:
    kept = json.loads((DOCS / "results" / "macro-mobilenet_v2" / "results.json").read_text())
    rows = re.findall(r"^\| (\d) - .*$", RESULTS.split("### Does NNU")[0], re.MULTILINE)
    assert rows == ["1", "2", "3", "4", "5"]
    for model in kept["models"]:
        (row,) = re.findall(rf"^\| {re.escape(model['label'])} \| .* of .*$", RESULTS, re.MULTILINE)
        assert f"{model['accuracy']:.3f} (" in row
        assert f"{model['dead']:,} of {model['units']:,}" in row


@pytest.mark.parametrize(
    ("page", "target"),
    [
        (page, target)
        for page in sorted(DOCS.rglob("*.md"))
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_links_lead_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


@pytest.mark.parametrize("name", ["cat", "dog", "cat to dog"])
def test_the_networks_of_the_investigation_are_those_of_its_tables(name: str) -> None:
    told = re.search(
        rf"^\| {name} \| .* \| (0\.\d+)\b.*? \| (\d+) of (\d+) \| ([\d.]+ %) \|$", RESULTS, re.MULTILINE
    )
    assert told is not None
    tables = (DOCS / "results" / "investigation" / "tables.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {name} \| 12288-(.*) \|$", tables, re.MULTILINE)
    cells = row.split(" | ")
    assert float(cells[2].removesuffix(" %")) == pytest.approx(100 * float(told[1]), abs=0.05)
    assert cells[6] == told[4]
    assert f"{name}: over all" in tables
    assert f"{told[2]} of {told[3]} units are dead" in tables
