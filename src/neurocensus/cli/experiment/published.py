"""``neurocensus experiment macro`` and ``micro``: one function, with the same options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ... import text
from ..errors import note
from ..options import check_device, parse_numbers, parse_size
from ..output import check_folder, console, print_paths
from .results import check_report

if TYPE_CHECKING:
    from ...sheets import Sheet

BACKBONE = "Backbone"
TRAINING = "Training"


SUMMARIES = {
    "macro": "Five models from a plain CNN to a fine-tuned, pretrained one.",
    "micro": "The last of the macro-models beside three small changes of it (neurons, a layer, the learning "
    "rate).",
}
_HELP = """{summary}

Train, audit and compare the published models on your own images, beside the published numbers.
Interrupted and started again with the same options, it goes on where it was.
Needs torchvision and scikit-learn: pip install 'neurocensus\\[experiments]'

Examples:

neurocensus experiment {name} --data dogs_vs_cats/ --scale 0.1 --out {name}

neurocensus experiment {name} --data images.tar --backbone mobilenet_v2 --weights weights.npz --out {name}
"""
DATA = typer.Option(
    help="Images of two classes: a folder per class, flat names such as cat.0.jpg, or a tar of either."
)
OUT = typer.Option(help="Folder for report.html, results.json, the figures and each model's training.")
STORE = typer.Option(
    help="Folder for trained models and resized images. Default: --out. Experiments that share it train the "
    "models they share once."
)
ONLY = typer.Option(help="Some of the models, between commas: thesis-1,thesis-2.")
AUDIT_EVERY = typer.Option(
    min=1,
    rich_help_panel=TRAINING,
    help="While training, audit the validation images every so many epochs, into the history. Finished "
    "trainings stay as they are.",
)


def help_text(name: str) -> str:
    """What ``neurocensus experiment NAME --help`` says."""
    return _HELP.format(name=name, summary=SUMMARIES[name])


def experiment(
    context: typer.Context,
    data: Annotated[str, DATA],
    out: Annotated[Path, OUT],
    scale: Annotated[float, typer.Option(help="Share of the published images and epochs, up to 1.")] = 1.0,
    image_size: Annotated[
        str, typer.Option(help="Resize images to SIZE x SIZE, or to HEIGHTxWIDTH.")
    ] = "150",
    only: Annotated[str | None, ONLY] = None,
    store: Annotated[Path | None, STORE] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode images.")] = None,
    backbone: Annotated[
        str,
        typer.Option(
            rich_help_panel=BACKBONE,
            help="vgg16, vgg19, resnet50, inception_v3, densenet201, squeezenet1_1, mobilenet_v2.",
        ),
    ] = "vgg16",
    weights: Annotated[
        str,
        typer.Option(
            rich_help_panel=BACKBONE,
            help="torchvision's name (DEFAULT downloads ImageNet's), a file (.safetensors, .npz, a "
            "checkpoint of tensors), or 'none' for random ones.",
        ),
    ] = "DEFAULT",
    mean: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=BACKBONE, help="That the weights expect of pixels in 0..1. Default: ImageNet's."
        ),
    ] = None,
    std: Annotated[str | None, typer.Option(rich_help_panel=BACKBONE, help="Likewise.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=TRAINING, help="Of every model, instead of scale x 30 or 100."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=TRAINING,
            help="Stop when the validation loss has not fallen for so many epochs.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel=TRAINING, help="Of all that is random.")] = 0,
    device: Annotated[str, typer.Option(rich_help_panel=TRAINING, help="cpu, cuda, cuda:1, mps.")] = "cpu",
    precision: Annotated[
        str, typer.Option(rich_help_panel=TRAINING, help="float32, bfloat16, or auto: by the device.")
    ] = "float32",
    audit_every: Annotated[int | None, AUDIT_EVERY] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Run the experiment that the command is named after; see `help_text`."""
    name = str(context.command.name)
    check_folder(out)
    check_folder(store, "--store")
    size, means, deviations = parse_size(image_size), parse_numbers("mean", mean), parse_numbers("std", std)
    assert size is not None  # only None gives None
    check_device(device)
    from ...experiments import report, study, thesis

    setup = thesis.Setup(
        data=data,
        backbone=backbone,
        weights=None if weights.lower() == "none" else weights,
        mean=None if means is None else tuple(means),
        std=None if deviations is None else tuple(deviations),
        image_size=size,
        scale=scale,
        epochs=epochs,
        patience=patience,
        seed=seed,
        device=device,
        precision=cast(Any, precision),  # Settings says what it can be
        workers=workers,
    )
    names, title = thesis.choose(name, only), thesis.TITLES[name]
    check_report(
        out, title, f"give another folder, with --store {out} to share the models that were trained there"
    )
    keep = store or out
    done = study.run(
        title,
        thesis.trials(names, setup, cache=keep / "cache"),
        keep / "models",
        facts=setup.facts(),
        audit_every=audit_every,
        on_start=lambda trial: note(
            f"{trial.name}, {trial.title}: {names.index(trial.name) + 1} of {len(names)}"
        ),
    )
    paths = report.save_study(done, out)
    if as_json:
        typer.echo(report.json_text(done), nl=False)
    else:
        for sheet in _short(report.all_sheets(done)):
            console().print(sheet.table())
        for line in done.comparison.warnings:
            typer.echo(f"warning: {text.printable(line)}", err=True)
    print_paths(paths)


def _short(sheets: Iterable[Sheet]) -> Iterator[Sheet]:
    """The tables without what would push them off the screen, and is in tables.md and the report."""
    for sheet in sheets:
        if sheet.name == "relations":
            records = [record for record in sheet.records if record["metric"] == "accuracy"]
            yield dataclasses.replace(sheet, records=records)
        elif sheet.name != "metrics":
            yield sheet
