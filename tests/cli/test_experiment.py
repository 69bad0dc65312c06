"""``neurocensus experiment``: what the group offers, and what `investigate` makes of its words.

That the experiments do what they promise is tested in ``tests/experiments``.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurocensus import experiments
from neurocensus.cli import app

from ..data.trees import as_folder, as_tar, tree

if TYPE_CHECKING:
    from .conftest import Run

COMMANDS = ("macro", "micro", "investigate")


def shown(*words: str) -> str:
    result = CliRunner().invoke(app, ["experiment", *words], env={"COLUMNS": "200"})
    return " ".join(result.output.split())


def test_the_group_offers_the_experiments() -> None:
    assert all(re.search(rf" {command} +\S", shown("--help")) for command in COMMANDS)
    assert "No such command 'nano'" in shown("nano", "--data", "x", "--out", "y")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_explains_itself(command: str) -> None:
    text = shown(command, "--help")
    assert f"neurocensus experiment {command} --data" in text.partition("Example")[2]
    assert "goes on where it was" in text


def test_macro_and_micro_take_the_same_options() -> None:
    macro, micro = (shown(name, "--help").partition("Options")[2] for name in ("macro", "micro"))
    assert macro == micro
    assert set(re.findall(r"--[a-z-]+", macro)) == {
        "--data", "--out", "--scale", "--image-size", "--only", "--store", "--workers", "--backbone",
        "--weights", "--mean", "--std", "--epochs", "--patience", "--seed", "--device", "--precision",
        "--audit-every", "--json", "--help",
    }  # fmt: skip
    assert "pip install 'neurocensus[experiments]'" in shown("macro", "--help")


# investigate


@pytest.fixture
def given(here: Path) -> dict[str, Any]:
    """Options that are right, in a folder that has what they name."""
    random = np.random.default_rng(0)
    np.savez(
        here / "cats.npz",
        x_train=random.integers(0, 256, (6, 4, 5, 3), np.uint8),
        y_train=np.arange(6) % 2,
        x_test=random.integers(0, 256, (4, 4, 5, 3), np.uint8),
        y_test=np.arange(4) % 2,
        classes=["non-cat", "cat"],
    )
    pets = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(46)]
    flowers = [f"{name}/{number}.png" for name in ("rose", "tulip") for number in range(9)]
    images = tree([*pets, *flowers])  # all different
    as_folder(here / "pets", {name: images[name] for name in pets})
    as_tar(here / "flowers.tar", {name: images[name] for name in flowers})
    return {"--data": "cats.npz", "--target": ["pets", "flowers.tar"], "--positive": "dog", "--out": "run"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[types.SimpleNamespace, Path]]:
    """What the experiment is asked to do, which a stand-in for it writes down."""
    calls: list[tuple[types.SimpleNamespace, Path]] = []

    def run(setup: Any, out: Path, *, progress: bool, on_start: Callable[[str], None]) -> str:
        calls.append((setup, out))
        assert progress
        on_start("sweep of cat")
        return "found"

    report = types.SimpleNamespace(
        save=lambda found, out, images: [out / f"{found}-{'with' if images else 'without'}.html"],
        json_text=lambda found: f'{{"{found}": 1}}\n',
        short_sheets=lambda found: [types.SimpleNamespace(table=lambda: f"table of what was {found}")],
    )
    stand_in = types.SimpleNamespace(TITLE="Mine", Setup=types.SimpleNamespace, run=run, report=report)
    monkeypatch.setattr(experiments, "investigation", stand_in, raising=False)
    return calls


Asked = list[tuple[types.SimpleNamespace, Path]]


def words(options: dict[str, Any]) -> list[str]:
    pairs = [
        (name, one)
        for name, value in options.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return ["experiment", "investigate", *(word for pair in pairs for word in pair)]


def test_by_default_it_is_as_published(run: Run, given: dict[str, Any], asked: Asked) -> None:
    done = run(*words(given))
    assert done.exit_code == 0, done.output
    ((setup, out),) = asked
    assert out == Path("run")
    assert setup.source.train.classes == ("non-cat", "cat")
    assert setup.target.train.classes == ("non-dog", "dog")
    assert [len(part) for part in (setup.target.train, setup.target.test)] == [62, 30]
    assert setup.target.train.shape[1:] == setup.source.train.shape[1:] == (3, 4, 5)
    assert (setup.scale, setup.only, setup.iterations) == (1.0, None, None)
    assert (setup.seed, setup.dtype, setup.device, setup.threads) == (1, "float64", "cpu", None)
    assert done.stdout == "table of what was found\n"
    assert done.stderr == "note: sweep of cat\nwrote run/found-with.html\n"


def test_every_option_is_passed_on(run: Run, given: dict[str, Any], asked: Asked) -> None:
    more = {"--scale": "0.5", "--iterations": "7", "--only": "baseline, sweeps,", "--seed": "3"}
    more |= {"--dtype": "float32", "--threads": "1"}
    done = run(*words({**given, **more}), "--json")
    assert done.stdout == '{"found": 1}\n'
    run(*words(given))
    setup, default = (setup for setup, _ in asked)
    assert (setup.scale, setup.only, setup.iterations) == (0.5, ("baseline", "sweeps"), 7)
    assert (setup.seed, setup.dtype, setup.threads) == (3, "float32", 1)
    assert setup.target.train.fingerprint != default.target.train.fingerprint  # the seed draws


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--data": "none.npz"}, r"data: no such file: none\.npz"),
        (
            {"--data": "x.npz"},
            r"data: x\.npz has no array 'x_train', 'y_train', 'x_test', 'y_test'; .* 'x', 'y'",
        ),
        ({"--target": ["nowhere"]}, "no such folder or tar of images: nowhere"),
        (
            {"--target": ["pets", "./pets"]},
            r"sources: expected each folder or tar once, got 'pets', '.*pets'",
        ),
        ({"--positive": "fox"}, "positive: no class 'fox' .*; choose one of 'cat', 'dog', 'rose', 'tulip'"),
        (
            {"--target": ["flowers.tar"], "--positive": "rose"},
            "31 images of class 'rose' to train .* 9 without",
        ),
        ({"--out": "cats.npz"}, r"--out: expected a folder, or a path for a new one; .*cats\.npz is a file"),
        ({"--out": "old"}, r"--out: old has the report of another experiment \(Macro\), .* another folder$"),
        ({"--device": "abacus"}, "--device: expected one that is available here, got abacus: "),
        ({"--dtype": "float16"}, "Invalid value for '--dtype'"),
        ({"--iterations": "0"}, "Invalid value for '--iterations'"),
        ({"--threads": "0"}, "Invalid value for '--threads'"),
        ({"--seed": "-1"}, "Invalid value for '--seed'"),
        ({"--target": []}, "Missing option '--target'"),
    ],
)
def test_bad_options_are_told_before_the_work(
    run: Run, here: Path, given: dict[str, Any], asked: Asked, options: dict[str, Any], message: str
) -> None:
    (here / "old").mkdir()
    (here / "old" / "results.json").write_text('{"title": "Macro"}')
    done = run(*words({**given, **options}))
    assert done.exit_code == 2
    assert re.search(message, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())), done.output
    assert not asked
    assert not (here / "run").exists()
