"""``neurocensus audit``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..selection import KEYWORDS
from .errors import note
from .output import check_folder, print_paths, print_table

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
) -> None:
    """Count every unit of a network over a data set: what is dead, how strongly the rest fires.

    Where the data has labels and the model an output per class, accuracy is counted in the same pass.

    Examples:

    neurocensus audit model.py:build --weights model.safetensors --data images/ --image-size 150 --out run

    neurocensus audit torchvision.models:vgg16 --weights vgg16.pth --data x.npz --max-examples 1000

    neurocensus audit package.module:build --data package.module:test_loader --fail-over-nnu 0.05

    neurocensus audit model.py:build --weights model.safetensors --data images/ --out run --top 9
    """
    check_folder(out)
    if top is not None and out is None:
        raise ValueError("--top: expected --out too, a folder for what is found; give --out DIR")
    size, means, deviations = parse_size(image_size), parse_numbers("mean", mean), parse_numbers("std", std)
    check_device(device)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for the numbers, whatever the user's code prints
        from ..auditor import audit as run
        from ..data import open_data
        from ..loading import load_model
        from ..weights import load_weights
        from .accuracy import Accuracy

        network = load_model(model)
        chosen = parse_layers(layers or ["activations"], {name for name, _ in network.named_modules()})
        for line in load_weights(network, weights) if weights is not None else ():
            note(line)
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
            note(line)
        accuracy = Accuracy(len(source.classes) or None)
        recorder = None
        if top is not None:
            from ..explain import TopRecorder

            recorder = TopRecorder(network, top, layers=chosen)
        try:
            with recorder or contextlib.nullcontext():
                result = run(
                    network,
                    source.batches,
                    layers=chosen,
                    threshold=threshold,
                    histogram=histogram,
                    device=device,
                    max_examples=max_examples,
                    forward=_explained(accuracy),
                )
        finally:
            for bad in source.skipped:
                note(f"skipped {bad}")
            if source.skipped:
                note(f"skipped {len(source.skipped)} unreadable images in all")

    if accuracy.value is not None:
        result.annotations = {**result.annotations, "accuracy": accuracy.value}
    elif accuracy.reason:
        note(f"no accuracy: {accuracy.reason}")
    try:
        if out is not None:
            from ..report import save_all

            print_paths(save_all(result, out))
            if recorder is not None:
                from .top import save

                save(recorder, out / "top", data, source, size)
                print_paths([out / "top"])
    finally:  # hours of work are not lost to a full disk
        print_table(result, as_json=as_json)
        if accuracy.value is not None and not as_json:
            typer.echo(f"accuracy {accuracy.value:.4f}")
    if fail_over_nnu is not None and not result.nnu <= fail_over_nnu:  # NaN fails too
        typer.echo(f"failed: NNU {result.nnu:.6g} is over --fail-over-nnu {fail_over_nnu:g}", err=True)
        raise typer.Exit(1)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``"150"`` and ``"120x160"`` as (height, width).

    Raises:
        ValueError: something else.
    """
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and (width or height).isdecimal() and int(height) and int(width or height)):
        raise ValueError(
            f"--image-size: expected a size such as 150 or 120x160 (height x width), got {text!r}"
        )
    return int(height), int(width or height)


def parse_numbers(name: str, text: str | None) -> list[float] | None:
    """``"0.5,0.4,0.3"`` as numbers.

    Raises:
        ValueError: something else.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--{name}: expected numbers between commas, such as 0.5,0.4,0.3, got {text!r}"
        ) from None


def parse_layers(wanted: list[str], modules: set[str]) -> str | list[str] | re.Pattern[str]:
    """What ``--layers`` asks for, as `neurocensus.audit` takes it.

    A module's name, and whatever else could be one (letters, digits, dots), is taken for a name, so that a
    misspelled one is an error. The rest are regular expressions.

    Raises:
        ValueError: not a regular expression.
    """
    if len(wanted) == 1 and wanted[0] in KEYWORDS:
        return wanted[0]
    names = [text for text in wanted if text in modules or re.fullmatch(r"[\w.]+(:\d+)?", text)]
    if names == wanted:
        return names
    try:
        for text in wanted:
            re.compile(text)
    except re.error as error:
        raise ValueError(f"--layers: {text!r} is not a regular expression: {error}") from error
    return re.compile("|".join(f"^{re.escape(text)}$" if text in names else f"(?:{text})" for text in wanted))


def _explained(forward: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`forward`, whose errors also say what the model was given: most are about its shape or dtype."""

    def run(model: Any, batch: Any) -> Any:
        try:
            return forward(model, batch)
        except RuntimeError as error:
            first = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
            shape = f" of shape {tuple(first.shape)}, {first.dtype}" if hasattr(first, "shape") else ""
            raise RuntimeError(
                f"the model failed on a batch{shape}: {error}\nDoes the data have the shape and type that "
                "the model takes? See --image-size for images, --key and --raw for arrays"
            ) from error

    return run


def check_device(device: str) -> None:
    """Raise before the work, if nothing can be put there.

    Raises:
        ValueError: no such device here.
    """
    from ..devices import available

    available(device, "--device")
