"""``neurocensus experiment investigate``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import note
from ..options import check_device
from ..output import check_folder, console, print_paths
from .results import check_report


class Dtype(str, enum.Enum):
    """Of weights and activations."""

    float64 = "float64"
    float32 = "float32"


TRAINING = "Training"
IMAGES = typer.Option(
    "--images/--no-images",
    help="Show the training images that activate each unit most. Without them, the report can be passed on "
    "where the images may not.",
)

DATA = typer.Option(
    help="Many images of one class and of the rest: a .npz with x_train, y_train, x_test and y_test (pixels "
    "as bytes, labels 0 and 1), and perhaps classes."
)
TARGET = typer.Option(
    help="Where to draw few images of another class and of its rest from: a folder or a tar of images by "
    "class. May be repeated."
)
POSITIVE = typer.Option(help="The class of --target that is told from all others.")
OUT = typer.Option(help="Folder for report.html, results.json, the figures and the trained networks.")
SCALE = typer.Option(help="Share of the published values of each sweep and of the iterations, up to 1.")
ONLY = typer.Option(
    help="Some of the parts, between commas: sweeps, freezing, frozen-sweeps. The three networks themselves "
    "are always trained."
)
ITERATIONS = typer.Option(min=1, rich_help_panel=TRAINING, help="Of every training, instead of scale x 2500.")
SEED = typer.Option(
    min=0, rich_help_panel=TRAINING, help="Of the images that are drawn and of the initial weights."
)
DTYPE = typer.Option(rich_help_panel=TRAINING, help="Of weights and activations.")
DEVICE = typer.Option(rich_help_panel=TRAINING, help="Where the sweeps run: cpu, cuda, cuda:1.")
THREADS = typer.Option(min=1, rich_help_panel=TRAINING, help="Of the CPU. Default: as torch chooses.")


def investigate(
    data: Annotated[Path, DATA],
    target: Annotated[list[str], TARGET],
    positive: Annotated[str, POSITIVE],
    out: Annotated[Path, OUT],
    scale: Annotated[float, SCALE] = 1.0,
    only: Annotated[str | None, ONLY] = None,
    iterations: Annotated[int | None, ITERATIONS] = None,
    seed: Annotated[int, SEED] = 1,
    dtype: Annotated[Dtype, DTYPE] = Dtype.float64,
    device: Annotated[str, DEVICE] = "cpu",
    threads: Annotated[int | None, THREADS] = None,
    images: Annotated[bool, IMAGES] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Small dense networks from scratch: sweeps, transfer to another class, and what single units do.

    There are three: trained on --data, trained on --target, and taken from the first to the second.
    The learning rate and the widths of each are swept, as in the study that found the metrics.
    Interrupted and started again with the same options, it goes on where it was.

    Examples:

    neurocensus experiment investigate --data cats.npz --target images/ --positive dog --scale 0.1 --out run

    neurocensus experiment investigate --data cats.npz --target a.tar --target b/ --positive dog --out run
    """
    check_folder(out)
    check_device(device)
    from ...data import one_against_rest, open_pair
    from ...experiments import investigation

    check_report(out, investigation.TITLE)
    source = open_pair(data)
    height, width = source.train.inputs.shape[1:3]
    goal = one_against_rest(target, positive, image_size=(height, width), seed=seed)
    setup = investigation.Setup(
        source=source,
        target=goal,
        scale=scale,
        only=None if only is None else tuple(name.strip() for name in only.split(",") if name.strip()),
        iterations=iterations,
        seed=seed,
        dtype=dtype.value,
        device=device,
        threads=threads,
    )
    found = investigation.run(setup, out, progress=True, on_start=note)
    paths = investigation.report.save(found, out, images=images)
    if as_json:
        typer.echo(investigation.report.json_text(found), nl=False)
    else:
        for sheet in investigation.report.short_sheets(found):
            console().print(sheet.table())
    print_paths(paths)
