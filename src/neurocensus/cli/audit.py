"""``neurocensus audit``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .keeping import Keeping
from .options import check_device, parse_layers, parse_numbers, parse_size
from .output import check_folder, print_paths, print_table
from .processes import started

if TYPE_CHECKING:
    from .census import Found, Job

MODEL = typer.Argument(
    metavar="MODEL",
    help="package.module:factory or path/to/file.py:factory. The factory is called without arguments and "
    "returns a torch.nn.Module.",
)
DATA = typer.Option(
    help="A folder of images (flat, or a folder per class); .npz with x and perhaps y; .npy; or "
    "module:factory / file.py:factory returning a DataLoader or any iterable of batches.",
)
WEIGHTS = typer.Option(
    help="State dict: .safetensors, .npz, or a torch checkpoint of tensors (never unpickled)."
)
OUT = typer.Option(help="Folder for audit.safetensors, report.html and the plots.")
LAYERS = typer.Option(
    help="'activations' (default), 'published' (the same, with each backbone of the zoo as one layer), "
    "'modules', a layer name such as features.0 or features.relu, or a regular expression searched in the "
    "names, such as '^features.*'. May be repeated."
)
FAIL = typer.Option(min=0, max=1, help="Exit with code 1 if NNU is above this share, for use in CI.")
TOP = typer.Option(
    min=1,
    metavar="K",
    help="Also find the K examples that activate each unit most. OUT/top gets them, with a contact sheet of "
    "each layer if they are images.",
)
EVERY = typer.Option(
    min=1,
    metavar="N",
    rich_help_panel="Long audits",
    help="Save what was counted in OUT each time that N examples have gone by, for --resume.",
)
RESUME = typer.Option(
    "--resume",
    rich_help_panel="Long audits",
    help="Go on where an audit into OUT was killed, as if it had not been. With nothing there to go on from, "
    "begin at the start.",
)
THRESHOLD = typer.Option(min=0, help="A value is zero when its absolute value is at most this.")
IMAGES = "Images"
ARRAYS = "Arrays"


def audit(
    model: Annotated[str, MODEL],
    data: Annotated[str, DATA],
    weights: Annotated[Path | None, WEIGHTS] = None,
    out: Annotated[Path | None, OUT] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples per batch (a factory makes its own).")
    ] = 32,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, mps.")] = "cpu",
    threshold: Annotated[float, THRESHOLD] = 0.0,
    histogram: Annotated[bool, typer.Option("--histogram", help="Count all values in bins too.")] = False,
    layers: Annotated[list[str] | None, LAYERS] = None,
    max_examples: Annotated[int | None, typer.Option(min=1, help="Stop after so many examples.")] = None,
    fail_over_nnu: Annotated[float | None, FAIL] = None,
    top: Annotated[int | None, TOP] = None,
    image_size: Annotated[
        str | None,
        typer.Option(rich_help_panel=IMAGES, help="Resize to SIZE x SIZE, or to HEIGHTxWIDTH."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IMAGES, help="Subtracted per channel after scaling to 0..1: 0.5,0.5,0.5"
        ),
    ] = None,
    std: Annotated[str | None, typer.Option(rich_help_panel=IMAGES, help="Divided by, likewise.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, rich_help_panel=IMAGES, help="Processes that decode images. Default: by size."),
    ] = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", rich_help_panel=IMAGES, help="Leave out, and name, bad images."),
    ] = False,
    key: Annotated[
        str, typer.Option(rich_help_panel=ARRAYS, help="Which array of a .npz: x_test goes with y_test.")
    ] = "x",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            rich_help_panel=ARRAYS,
            help="Give arrays to the model as they are. Else uint8 is taken for pixels: float32 in 0..1, "
            "channels first; other floats become float32.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    checkpoint_every: Annotated[int | None, EVERY] = None,
    resume: Annotated[bool, RESUME] = False,
) -> None:
    """Count every unit of a network over a data set: what is dead, how strongly the rest fires.

    Where the data has labels and the model an output per class, accuracy is counted in the same pass.

    Started by torchrun, the processes share the data, and the first one prints and writes what all counted.

    Examples:

    neurocensus audit model.py:build --weights model.safetensors --data images/ --image-size 150 --out run

    neurocensus audit torchvision.models:vgg16 --weights vgg16.pth --data x.npz --max-examples 1000

    neurocensus audit package.module:build --data package.module:test_loader --fail-over-nnu 0.05

    neurocensus audit model.py:build --weights model.safetensors --data images/ --out run --top 9

    neurocensus audit model.py:build --data images/ --out run --checkpoint-every 10000 --resume

    torchrun --nproc-per-node 4 -m neurocensus audit model.py:build --data images/ --out run
    """
    check_folder(out)
    for option, given in (
        ("--top", top),
        ("--checkpoint-every", checkpoint_every),
        ("--resume", resume or None),
    ):
        if given is not None and out is None:
            raise ValueError(f"{option}: expected --out too, a folder for what is kept; give --out DIR")
    size, means, deviations = parse_size(image_size), parse_numbers("mean", mean), parse_numbers("std", std)
    with started(device) as processes:
        # stdout is for the numbers, whatever the user's code prints
        with contextlib.redirect_stdout(sys.stderr):
            check_device(device)
            if skip_unreadable and max_examples is not None and processes.size > 1:
                raise ValueError(
                    "--max-examples: with --skip-unreadable the first so many images are known only when all "
                    "before them are decoded, which several processes do not wait for; leave one of both out"
                )
            keeping = Keeping(out, processes, every=checkpoint_every, resume=resume)
            from ..data import open_data
            from ..loading import load_model
            from ..weights import load_weights
            from .census import Found, Job, take

            network = load_model(model)
            chosen = parse_layers(layers or ["activations"], {name for name, _ in network.named_modules()})
            for line in load_weights(network, weights) if weights is not None else ():
                processes.note(line)
            source = open_data(
                data,
                batch_size=batch_size,
                image_size=size,
                mean=means,
                std=deviations,
                workers=workers,
                skip_unreadable=skip_unreadable,
                key=key,
                raw=raw,
            )
            for line in source.notes:
                processes.note(line)
            job = Job(network, source, chosen, threshold, histogram, device, max_examples, top)
            if keeping.wanted:
                keeping.of(job.identity(data))
            finished = keeping.finished()
            processes.meet()  # nobody begins before all have looked at what is there
            try:
                found = take(job, keeping, processes) if finished is None else Found(finished)
            finally:
                for bad in source.skipped:
                    processes.note(f"skipped {bad}")
                if source.skipped:
                    processes.note(f"skipped {len(source.skipped)} unreadable images in all")
        if finished is not None:
            processes.note(f"finished before: {keeping.audit}")
        if processes.speaks:
            _leave(found, job, out, data, size, as_json=as_json)
            keeping.finish()
        processes.meet()  # the others wait: that one leaves with an error ends all
        if fail_over_nnu is not None and not found.audit.nnu <= fail_over_nnu:  # NaN fails too
            if processes.speaks:
                line = f"failed: NNU {found.audit.nnu:.6g} is over --fail-over-nnu {fail_over_nnu:g}"
                typer.echo(line, err=True)
            raise typer.Exit(1)


def _leave(
    found: Found, job: Job, out: Path | None, data: str, size: tuple[int, int] | None, *, as_json: bool
) -> None:
    """Write and print what was found."""
    try:
        if out is not None:
            from ..report import save_all

            print_paths(save_all(found.audit, out))
            if found.strongest is not None:
                from .top import save

                save(found.strongest, out / "top", data, job.data, size)
                print_paths([out / "top"])
    finally:  # hours of work are not lost to a full disk
        print_table(found.audit, as_json=as_json)
        if "accuracy" in found.audit.annotations and not as_json:
            typer.echo(f"accuracy {found.audit.annotations['accuracy']:.4f}")
