"""``neurocensus audit``: what it prints, what it leaves, how it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import neurocensus
from neurocensus import storage
from neurocensus.cli.options import parse_layers, parse_numbers, parse_size
from neurocensus.selection import KEYWORDS

from ..conftest import shared_data

if TYPE_CHECKING:
    from .conftest import Run

NET = "a net.py:Half"


def test_numbers_pictures_and_a_file_that_loads(run: Run, here: Path) -> None:
    """Accuracy comes from the audit's own pass over the data, and stays with the audit."""
    out = here / "öut put" / "deep"
    result = run("audit", NET, "--data", "x.npz", "--out", out, "--batch-size", 4)
    assert result.exit_code == 0, result.output
    assert "2 of 4 units dead" in result.stdout
    assert "accuracy 1.0000" in result.stdout
    left = {"audit.safetensors", "report.html", "spectrum.png", "range.png", "dead.png"}
    assert {path.name for path in out.iterdir()} == left
    audit = storage.load(out / "audit.safetensors")
    assert (audit.nnu, audit.examples, audit.batches) == (0.5, 10, 3)
    assert audit.annotations["accuracy"] == 1.0
    assert all(str(out / name) in result.stderr for name in left)


def test_a_point_that_never_fired_is_shown(run: Run) -> None:
    """Pitfall 1: in the table and in the JSON, not a gap."""
    table = run("audit", NET, "--data", "x.npz", "--layers", "modules")
    assert re.search(r"1 expected audit point never fired.*'unused'", " ".join(table.stdout.split()))
    numbers = json.loads(run("audit", NET, "--data", "x.npz", "--layers", "modules", "--json").stdout)
    assert numbers["never_fired"] == ["unused"]


def test_json_is_all_of_stdout(run: Run) -> None:
    numbers = json.loads(run("audit", NET, "--data", "x.npz", "--json").stdout)
    assert numbers["nnu"] == 0.5
    assert numbers["annotations"] == {"accuracy": 1.0}


@pytest.mark.parametrize(("limit", "code"), [("0.49", 1), ("0.5", 0), ("1", 0)])
def test_fail_over_nnu_sets_the_exit_code_after_all_is_written(
    run: Run, here: Path, limit: str, code: int
) -> None:
    result = run("audit", NET, "--data", "x.npz", "--out", "out", "--fail-over-nnu", limit)
    assert result.exit_code == code
    assert ("failed: NNU 0.5 is over" in result.stderr) == bool(code)
    assert (here / "out" / "report.html").exists()


def test_options_reach_the_audit(run: Run) -> None:
    words = ["--threshold", "0.25", "--max-examples", "7", "--histogram", "--layers", "act", "--out", "out"]
    assert run("audit", NET, "--data", "x.npz", *words).exit_code == 0
    audit = storage.load("out/audit.safetensors")
    assert (audit.threshold, audit.examples, list(audit.layers)) == (0.25, 7, ["act"])
    assert audit.layers["act"].state.histogram is not None


def test_data_from_a_factory(run: Run) -> None:
    result = run("audit", NET, "--data", "a net.py:batches", "--json")
    assert json.loads(result.stdout)["examples"] == 3
    assert json.loads(result.stdout)["annotations"]["accuracy"] == pytest.approx(2 / 3)


def test_weights_are_loaded_and_what_was_done_is_said(run: Run, here: Path) -> None:
    weights = {"module.dense.weight": torch.zeros(4, 3), "module.dense.bias": torch.zeros(4)}
    torch.save({"state_dict": weights}, here / "w.pt")
    result = run("audit", NET, "--data", "x.npz", "--weights", "w.pt")
    assert "4 of 4 units dead" in result.stdout
    assert "note: prefix 'module.' removed" in result.stderr


def test_images_in_class_folders(run: Run, here: Path) -> None:
    for index, name in enumerate(["cat/a.png", "cat/b.png", "dog/c.png"]):
        path = here / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + index, 6), (90 * index, 10, 200)).save(path)
    words = ("audit", "a net.py:conv", "--data", "images", "--json")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "unequal size" in refused.stderr
    options = ("--image-size", "6x9", "--mean", "0.5", "--std", "0.2,0.2,0.2")
    numbers = json.loads(run(*words, *options).stdout)
    assert numbers["examples"] == 3
    assert numbers["layers"][0]["values"] == 3 * 4 * 4 * 7  # examples, units, and 6x9 less the border
    assert 0 <= numbers["annotations"]["accuracy"] <= 1


def test_unreadable_images_stop_the_audit_unless_skipped(run: Run, here: Path) -> None:
    (here / "images").mkdir()
    Image.new("RGB", (8, 6)).save(here / "images" / "a.png")
    (here / "images" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    words = ("audit", "a net.py:conv", "--data", "images", "--out", "out")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "1 of 2 images cannot be read" in refused.stderr
    assert "bad.jpg" in refused.stderr
    assert not (here / "out").exists()
    skipped = run(*words, "--skip-unreadable")
    assert skipped.exit_code == 0
    assert "note: skipped images/bad.jpg" in skipped.stderr
    assert "1 example," in skipped.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a net.py", "--data", "x.npz"], "after a colon"),
        (["none.py:Half", "--data", "x.npz"], "no such file: none.py"),
        (["a net.py:Halt", "--data", "x.npz"], "it has: Half, batches, conv, raises"),
        (["a net.py:batches", "--data", "x.npz"], "expected a torch.nn.Module"),
        (["a net.py:raises", "--data", "x.npz", "--batch-size", "2"], "ZeroDivisionError: half-way"),
        ([NET, "--data", "none"], "no such file or folder"),
        ([NET, "--data", "x.npz", "--key", "z"], "it has: x, y"),
        ([NET, "--data", "x.npz", "--weights", "none.pt"], "no such file: none.pt"),
        ([NET, "--data", "x.npz", "--weights", "a net.py"], "not a readable torch checkpoint|refused"),
        ([NET, "--data", "x.npz", "--layers", "dence"], "'dense'"),
        ([NET, "--data", "x.npz", "--layers", "[a"], "not a regular expression"),
        ([NET, "--data", "x.npz", "--device", "toaster"], "--device: expected one that is .*, got toaster: "),
        ([NET, "--data", "x.npz", "--mean", "a,b"], "--mean: expected numbers"),
        ([NET, "--data", "x.npz", "--image-size", "0"], "--image-size: expected a size"),
        ([NET, "--data", "x.npz", "--fail-over-nnu", "2"], "--fail-over-nnu"),
        ([NET], "--data"),
    ],
)
def test_errors_are_one_message_and_leave_nothing(
    run: Run, here: Path, words: list[str], message: str
) -> None:
    """Exit code 2 and no traceback (`run` asserts that there is none)."""
    before = set(here.iterdir())
    result = run("audit", *words, "--out", "out")
    assert result.exit_code == 2
    assert re.search(message, result.stderr.replace("│", ""))
    assert result.stdout == ""
    assert {path for path in here.iterdir() if path.name != "__pycache__"} == before


def test_a_failed_audit_leaves_the_old_results(run: Run, here: Path) -> None:
    assert run("audit", NET, "--data", "x.npz", "--out", "out").exit_code == 0
    before = {path.name: path.read_bytes() for path in (here / "out").iterdir()}
    failed = run("audit", "a net.py:raises", "--data", "x.npz", "--batch-size", "2", "--out", "out")
    assert failed.exit_code == 2
    assert {path.name: path.read_bytes() for path in (here / "out").iterdir()} == before


def test_numbers_are_printed_though_they_cannot_be_saved(run: Run, here: Path) -> None:
    (here / "out" / "dead.png").mkdir(parents=True)
    result = run("audit", NET, "--data", "x.npz", "--out", "out")
    assert result.exit_code == 2
    assert "dead.png: expected the path of a file" in result.stderr
    assert "2 of 4 units dead" in result.stdout


def test_data_that_do_not_fit_the_model_show_their_shape(run: Run, here: Path) -> None:
    np.save(here / "wide.npy", np.ones((4, 7), np.float32))
    failed = run("audit", NET, "--data", "wide.npy")
    assert failed.exit_code == 2
    assert "error: the model failed on a batch of shape (4, 7), torch.float32: mat1" in failed.stderr


def test_stdout_is_for_numbers_whatever_the_model_prints(run: Run, here: Path) -> None:
    (here / "loud.py").write_text(
        "from torch import nn\nclass Loud(nn.ReLU):\n"
        "    def __init__(self): super().__init__(); print('built')\n"
        "    def forward(self, x): print('run'); return super().forward(x)\n"
    )
    result = run("audit", "loud.py:Loud", "--data", "x.npz", "--json")
    assert json.loads(result.stdout)["units"] == 3
    assert "built\nrun\n" in result.stderr


def test_names_are_shown_literally_and_terminal_escapes_spelled_out(run: Run, here: Path) -> None:
    (here / "images").mkdir()
    for name in ("\x1b[31m.jpg", "[bold]b[].jpg", "<img src=x onerror=alert(1)>.jpg"):
        (here / "images" / name).write_bytes(b"")
    result = run("audit", "a net.py:conv", "--data", "images")
    assert "\x1b" not in result.stderr
    for name in ("\\x1b[31m.jpg", "[bold]b[].jpg", "<img src=x onerror=alert(1)>.jpg"):
        assert f"images/{name}: " in result.stderr


def test_ctrl_c_ends_quietly_and_leaves_nothing(here: Path) -> None:
    (here / "slow.py").write_text(
        "import sys, time, torch\n"
        "def batches():\n"
        "    print('started', file=sys.stderr, flush=True)\n"
        "    while True: time.sleep(0.01); yield torch.ones(2, 3)\n"
    )
    words = [sys.executable, "-m", "neurocensus", "audit", NET, "--data", "slow.py:batches", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(neurocensus.__file__).parents[1])}
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell's background job ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as job:
        assert job.stderr is not None
        assert job.stderr.readline() == "started\n"
        job.send_signal(signal.SIGINT)
        try:
            stdout, stderr = job.communicate(timeout=60)
        finally:
            job.kill()
    assert (job.returncode, stdout, stderr) == (130, "", "")
    assert not (here / "out").exists()


def test_a_terminal_without_unicode(here: Path) -> None:
    """Tables fall back to ASCII, and characters of names to their numbers."""
    (here / "names.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self): super().__init__(); self.add_module('层', nn.ReLU())\n"
        "    def forward(self, x): return getattr(self, '层')(x)\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(neurocensus.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-m", "neurocensus", "audit", "names.py:Net", "--data", "x.npz", "--out", "ö u"],
        capture_output=True, check=False, env={**environment, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert b"| \\u5c42 " in result.stdout
    assert (here / "ö u" / "report.html").exists()


def test_a_folder_that_is_a_file_is_refused_before_the_work(run: Run, here: Path) -> None:
    (here / "out").write_text("mine")
    for out in ("out", "out/below"):
        result = run("audit", "a net.py:raises", "--data", "x.npz", "--out", out)
        assert "is a file" in result.stderr
    assert (here / "out").read_text() == "mine"


def test_a_real_process_in_a_folder_of_any_name(here: Path) -> None:
    words = [sys.executable, "-m", "neurocensus", "audit", NET, "--data", "x.npz", "--out", "ö u"]
    result = subprocess.run(
        [*words, "--fail-over-nnu", "0.1"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(neurocensus.__file__).parents[1])},
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "failed: NNU 0.5 is over --fail-over-nnu 0.1"
    assert (here / "ö u" / "audit.safetensors").exists()


def test_on_real_photographs_with_real_weights(run: Run, here: Path) -> None:
    """SqueezeNet's first convolution on flowers: 64 filters that all fire, as in any good network."""
    with np.load(shared_data("squeezenet1_1_imagenet.npz")) as weights:
        np.savez(
            here / "w.npz", **{f"0.{name}": weights[f"features.0.{name}"] for name in ("weight", "bias")}
        )
    with tarfile.open(shared_data("flowers5_600.tar")) as tar:
        chosen = [m for m in tar.getmembers() if "/test/" in m.name and m.name.endswith(".jpg")][::10]
        for member in chosen:
            member.name = member.name.partition("/test/")[2]
            tar.extract(member, here / "flowers", filter="data")
    (here / "first.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU())\n"
    )
    normalisation = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
    result = run(
        "audit", "first.py:build", "--weights", "w.npz", "--data", "flowers", *normalisation, "--json"
    )
    numbers = json.loads(result.stdout)
    assert numbers["examples"] == 10
    assert (numbers["units"], numbers["dead"]) == (64, 0)
    assert numbers["layers"][0]["max"] > 100


def test_on_a_real_archive(run: Run) -> None:
    archive = shared_data("catvnoncat.npz")
    words = ("audit", "a net.py:conv", "--data", archive, "--json")
    assert "x_train, y_train, x_test, y_test" in run(*words).stderr
    result = run(*words, "--key", "x_test")
    assert "(64, 64, 3) -> (3, 64, 64)" in result.stderr
    numbers = json.loads(result.stdout)
    assert numbers["examples"] == 50
    assert numbers["annotations"]["accuracy"] in (pytest.approx(17 / 50), pytest.approx(33 / 50))
    assert run(*words, "--key", "x_test", "--raw").exit_code == 2


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_sizes_are_height_by_width(height: int, width: int) -> None:
    assert parse_size(f"{height}x{width}") == (height, width)
    assert parse_size(str(height)) == (height, height)


@given(st.text(alphabet="0123456789x-. ", max_size=6))
def test_no_other_text_is_a_size(text: str) -> None:
    if re.fullmatch(r"0*[1-9]\d*(x0*[1-9]\d*)?x?", text):
        return
    with pytest.raises(ValueError, match="--image-size"):
        parse_size(text)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_between_commas(numbers: list[float]) -> None:
    assert parse_numbers("mean", ",".join(map(str, numbers))) == numbers


@given(st.lists(st.sampled_from(["features.0", "relu", *KEYWORDS, "f.relu:2", "^a|b$", "x+"]), min_size=1))
def test_names_stay_names_and_patterns_match_besides(wanted: list[str]) -> None:
    chosen = parse_layers(wanted, {"features.0"})
    if len(wanted) == 1 and wanted[0] in KEYWORDS:
        assert chosen == wanted[0]
    elif isinstance(chosen, list):
        assert chosen == wanted
    else:
        assert isinstance(chosen, re.Pattern)
        names = [text for text in wanted if text not in ("^a|b$", "x+")]
        assert all(chosen.search(name) for name in names)
        assert bool(chosen.search("zxxz")) == ("x+" in wanted)
        assert not chosen.search("featuresX0")
