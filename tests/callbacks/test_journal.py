"""The file of rows: whole lines only, whatever happens; cut where a training goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.callbacks import plot_monitor, read_monitor
from neurocensus.callbacks.journal import FILE, Journal

from .samples import row

NAMES = st.text(max_size=12)  # layers may have any name
ROWS = st.builds(
    row,
    st.integers(0, 40),
    st.dictionaries(NAMES, st.floats(0, 1), max_size=3),
    mode=st.sampled_from(["train", "eval"]),
)


@given(st.lists(ROWS, max_size=8))
def test_rows_come_back_as_they_were(rows: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Path(name), 0)
        for one in rows:
            journal.append(one)
        assert not rows or repr(read_monitor(name)) == repr(rows)  # NaN is NaN
        assert not rows or repr(read_monitor(journal.path)) == repr(rows)
        journal.close()


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(1, 40), st.data())
def test_a_cut_off_line_is_no_row_and_rows_after_the_first_step_go(
    rows: list[dict[str, object]], first_step: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Path(name), 0)
        for one in rows:
            journal.append(one)
        journal.close()
        content = journal.path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        journal.path.write_bytes(content[:cut])
        whole = rows[: content[:cut].count(b"\n")]
        assert repr(read_monitor(name)) == repr(whole)
        later = Journal(Path(name), first_step)
        kept = [one for one in whole if one["step"] <= first_step]  # type: ignore[operator]
        assert repr(list(later.kept)) == repr(kept)
        later.append(rows[0])
        assert repr(read_monitor(name)) == repr([*kept, rows[0]])
        later.close()


def test_a_training_that_begins_puts_earlier_ones_aside(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        Journal(tmp_path, 0).append(row(step, {"a": 0.5}))
    assert [read_monitor(tmp_path / name)[0]["step"] for name in sorted(os.listdir(tmp_path))] == [1, 2, 3]
    assert sorted(os.listdir(tmp_path)) == ["activations-1.jsonl", "activations-2.jsonl", FILE]


def test_a_file_that_needs_no_cut_is_not_written_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.append(row(10, {"a": 0.5}))
    journal.close()
    before = journal.path.stat().st_ino
    assert len(Journal(tmp_path, 10).kept) == 1
    assert journal.path.stat().st_ino == before


def test_a_full_disk_leaves_the_rows_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.append(row(1, {"a": 0.5}))
    content = journal.path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 10, before[1]))
    try:
        with pytest.raises(OSError):
            journal.append(row(2, {"a": 0.5}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert journal.path.read_bytes() == content


def test_a_kill_leaves_whole_lines(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from neurocensus.callbacks.journal import Journal
        from tests.callbacks.samples import row
        journal = Journal(Path(sys.argv[1]), 0)
        for step in range(10**6):
            journal.append(row(step, {str(layer): 0.5 for layer in range(200)}))
        """
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root) as process:
        try:
            deadline = time.monotonic() + 30
            while not (tmp_path / FILE).exists() or (tmp_path / FILE).stat().st_size < 2 * 10**6:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
    rows = read_monitor(tmp_path)
    assert [one["step"] for one in rows] == list(range(len(rows)))
    assert len(rows) > 50


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expecting"),
        ("[]", "list"),
        ("{}", "step: found none"),
        ('{"step": true}', "step: expected int, got True"),
        ("NaN", "float"),
        ("[" * 10000, "recursion"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    journal = Journal(tmp_path, 0)
    journal.append(row(1, {"a": 0.5}))
    journal.close()
    with open(journal.path, "a") as file:
        file.write(line + "\n")
    for read in (read_monitor, plot_monitor, lambda path: Journal(path, 5)):
        with pytest.raises(
            ValueError, match=f"(?s)activations.jsonl, line 2: expected .*{message}.*Remove the"
        ):
            read(tmp_path)


@pytest.mark.parametrize("field", ["units", "unseen", "nnu", "nan", "inf", "examples", "dead"])
def test_a_layer_without_a_field_is_refused(tmp_path: Path, field: str) -> None:
    broken = row(1, {"a": 0.5})
    del broken["layers"]["a"][field]
    Journal(tmp_path, 0).append(broken)
    with pytest.raises(ValueError, match=rf"line 1: .*layers\['a'\].{field}: found none"):
        read_monitor(tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path: expected a file that a Monitor wrote, found none"):
        read_monitor(tmp_path)
    (tmp_path / FILE).touch()
    assert read_monitor(tmp_path) == []
    with pytest.raises(ValueError, match="path: expected at least one row to draw, found none"):
        plot_monitor(tmp_path)
    with pytest.raises(NotADirectoryError, match="folder: expected a folder or a free name, got a file"):
        Journal(tmp_path / FILE, 0)
