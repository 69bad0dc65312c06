"""Both published experiments, end to end, on few images."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import neurocensus as nc
from neurocensus.cli import app
from neurocensus.experiments import thesis

from ..conftest import shared_data

SMALL = ("--scale", "0.008", "--epochs", "1", "--image-size", "48", "--workers", "0")
RANDOM = ("--backbone", "squeezenet1_1", "--weights", "none")


def experiment(name: str, data: Path, out: Path, *options: str) -> Result:
    arguments = ["experiment", name, "--data", str(data), "--out", str(out), *options]
    return CliRunner().invoke(app, arguments)


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def without_times(body: dict[str, Any]) -> dict[str, Any]:
    for model in body["models"]:
        for row in model["history"]:
            del row["seconds"]
    return body


@pytest.fixture(scope="module")
def store(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both experiments, run once, with one store."""
    folder = tmp_path_factory.mktemp("experiments")
    for name in ("macro", "micro"):
        done = experiment(
            name, photographs, folder / name, *SMALL, *RANDOM, "--store", str(folder), "--audit-every", "1"
        )
        assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize(
    ("name", "models", "tables"),
    [
        ("macro", thesis.MACRO, ("table-4.2", "table-4.4")),
        ("micro", thesis.MICRO, ("table-4.3", "table-4.5")),
    ],
)
def test_an_experiment_leaves_tables_figures_and_a_report(
    store: Path, name: str, models: Sequence[str], tables: Sequence[str]
) -> None:
    out = store / name
    body = results(out)
    assert [model["name"] for model in body["models"]] == list(models)
    names = [table["name"] for table in body["tables"]]
    assert names[:2] == list(tables)
    assert "metrics" in names
    for figure in ("nnu", "spectrum", "range", "training", "roc", "relations", "weights-thesis-5"):
        assert (out / f"{figure}.png").stat().st_size > 5_000, figure
    page = (out / "report.html").read_text()
    assert page.count("<img") >= 7
    assert "Accuracy of the" in page
    assert (out / "tables.md").read_text().count("| ---") >= 4


def test_the_models_are_those_of_the_thesis(store: Path) -> None:
    macro = {model["name"]: model for model in results(store / "macro")["models"]}
    assert [macro[f"thesis-{k}"]["units"] for k in (1, 2, 3)] == [929, 1697, 1025]
    backbone = macro["thesis-4"]["units"] - 1025
    assert macro["thesis-5"]["units"] == 1025 + backbone
    assert macro["thesis-5"]["layers"][0]["layer"] == "backbone"
    micro = {model["name"]: model["units"] - backbone for model in results(store / "micro")["models"]}
    assert micro == {"thesis-5": 1025, "thesis-5a": 1001, "thesis-5b": 1537, "thesis-5c": 1025}
    assert all(model["examples"] == 8 for model in macro.values())


def test_each_model_keeps_its_audit_and_the_history_has_its_nnu(store: Path) -> None:
    audit = nc.load(store / "models" / "thesis-2" / "audit.safetensors")
    histories = {model["name"]: model["history"] for model in results(store / "macro")["models"]}
    (row,) = histories["thesis-2"]
    assert audit.units == 1697
    assert audit.annotations["model"] == "img aug cnn"
    assert 0 <= row["nnu"] <= 1
    assert {"loss", "validation_accuracy", "skewness", "consistency"} <= row.keys()


def test_what_is_done_is_not_done_again(store: Path, photographs: Path) -> None:
    """The model that both have was trained once; a finished experiment only draws its report again."""
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    first = results(store / "macro")
    again = experiment(
        "macro", photographs, store / "macro", *SMALL, *RANDOM, "--store", str(store), "--audit-every", "1"
    )
    assert again.exit_code == 0, again.output
    assert results(store / "macro") == first
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")} == before


def test_interrupted_and_started_again_it_ends_the_same(
    store: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between two models, and within one."""
    from neurocensus.experiments import study

    run_trial = study.run_trial

    def interrupted(trial: Any, *rest: Any, **options: Any) -> Any:
        if trial.name == "thesis-3":
            raise KeyboardInterrupt
        return run_trial(trial, *rest, **options)

    options = (*SMALL, *RANDOM, "--audit-every", "1")
    monkeypatch.setattr(study, "run_trial", interrupted)
    assert experiment("macro", photographs, tmp_path, *options).exit_code != 0
    assert not (tmp_path / "results.json").exists()
    monkeypatch.undo()
    resumed = experiment("macro", photographs, tmp_path, *options)
    assert resumed.exit_code == 0, resumed.output
    assert without_times(results(tmp_path)) == without_times(results(store / "macro"))


def test_other_settings_do_not_mix_with_a_training_that_is_there(store: Path, photographs: Path) -> None:
    done = experiment(
        "macro", photographs, store / "macro", *SMALL, *RANDOM, "--store", str(store), "--seed", "1"
    )
    assert done.exit_code == 2
    assert "seed" in done.output
    assert "another" in done.output or "other" in done.output


def test_other_weights_do_not_mix_with_a_training_that_is_there(store: Path, photographs: Path) -> None:
    """Not even where all that differs is what the backbone does to pixels."""
    done = experiment(
        "macro", photographs, store / "other", *SMALL, *RANDOM, "--store", str(store), "--only", "thesis-4",
        *("--mean", "0.5", "--std", "0.5"),
    )  # fmt: skip
    assert done.exit_code == 2
    assert "thesis-4 that began from other weights" in " ".join(done.output.split())
    assert not (store / "other").exists()


def test_the_report_of_another_experiment_is_not_replaced(store: Path, photographs: Path) -> None:
    before = (store / "macro" / "report.html").read_bytes()
    done = experiment("micro", photographs, store / "macro", *SMALL, *RANDOM)
    assert done.exit_code == 2
    assert "has the report of another experiment (Macro-models" in " ".join(done.output.split())
    assert (store / "macro" / "report.html").read_bytes() == before
    assert not (store / "macro" / "models").exists()


def test_a_report_names_no_folders(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photographs)
    facts = dict(thesis.Setup(data=".", weights="../elsewhere/weights.npz").facts())
    assert (facts["data"], facts["weights"]) == (photographs.name, "weights.npz")
    assert dict(thesis.Setup(data="x", weights=None).facts())["weights"] == "random"
    assert dict(thesis.Setup(data="x").facts())["weights"] == "DEFAULT"


def test_some_of_the_models(photographs: Path, tmp_path: Path) -> None:
    done = experiment("macro", photographs, tmp_path, *SMALL, "--only", "thesis-1", "--json")
    assert done.exit_code == 0, done.output
    body = json.loads(done.stdout)
    assert [model["name"] for model in body["models"]] == ["thesis-1"]
    assert body["options"]["data"] == photographs.name
    assert "note: thesis-1, basic cnn: 1 of 1" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scale", "0"), r"scale: expected a share above 0 and at most 1, got 0"),
        (("--scale", "1.5"), r"scale: .*1\.5"),
        (("--only", "thesis-9"), r"only: macro has no model 'thesis-9'; it has thesis-1, thesis-2"),
        (("--only", "5, 1"), r"only: macro has no model '5', '1'; it has thesis-1, thesis-2"),
        (("--only", " , "), r"only: macro has no model ''; it has thesis-1, thesis-2"),
        (("--precision", "half", "--scale", "0.008"), r"precision: expected one of .*'half'"),
        (("--backbone", "vgg61", "--scale", "0.008", "--weights", "none"), r"backbone: .*vgg16.*got .vgg61"),
        (("--image-size", "20", "--scale", "0.008"), r"image_size: .*20"),
        (("--device", "abacus"), r"--device: expected one that is available here, got abacus"),
        (("--weights", "nowhere.npz", "--scale", "0.008"), r"nowhere\.npz"),
    ],
)
def test_bad_options_are_told_before_the_training(
    photographs: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = experiment("macro", photographs, tmp_path, "--workers", "0", *options)
    assert done.exit_code == 2
    assert re.search(message, " ".join(done.output.split())), done.output
    assert not list(tmp_path.rglob("*.safetensors"))


def test_three_classes_are_too_many(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cat", "dog", "owl"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (60, 60)).save(tmp_path / "data" / name / f"{index}.png")
    done = experiment("micro", tmp_path / "data", tmp_path / "out", *SMALL, *RANDOM)
    assert done.exit_code == 2
    assert "expected two classes" in done.output
    assert "cat, dog, owl" in " ".join(done.output.split())


@pytest.mark.data
def test_real_dogs_and_cats_with_a_real_backbone(tmp_path: Path) -> None:
    """Frozen features of a network that knows ImageNet tell dogs from cats after little training."""
    weights = shared_data("mobilenet_v2_imagenet_bnfolded.npz")
    done = experiment(
        "macro", shared_data("dogs_vs_cats_5000.tar"), tmp_path,
        *("--backbone", "mobilenet_v2", "--weights", str(weights), "--mean", "0.5", "--std", "0.5"),
        *("--scale", "0.1", "--epochs", "2", "--only", "thesis-3"),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (model,) = results(tmp_path)["models"]
    assert model["examples"] == 100
    assert model["accuracy"] > 0.85
