"""``neurocensus demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import check_folder, console

if TYPE_CHECKING:
    from rich.table import Table

    from ..compare import Comparison
    from ..experiments.digits import Digits, DigitsNet, Recipe
    from ..result import Audit


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the reports, plots and audit files.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights, batches and augmentation.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of each training. Default: until converged.")
    ] = None,
) -> None:
    """Train a small CNN on scanned digits twice, plain and regularised, and audit both on the test split.

    Takes about ten seconds. Needs scikit-learn: pip install 'neurocensus\\[demo]'
    """
    check_folder(out)
    from ..compare import compare
    from ..experiments import digits
    from ..report import save_all

    data = digits.load_digits()
    audits = {}
    for name, recipe in digits.RECIPES.items():
        model = _train(name, recipe, data, seed=seed, epochs=epochs or digits.EPOCHS)
        audits[name] = _audit(model, data)
    comparison = compare(audits)

    console().print(_table(comparison))
    for name, audit in audits.items():
        save_all(audit, out / name)
    save_all(comparison, out)
    typer.echo(
        f"Both models side by side: {out / 'report.html'}; one by one: "
        f"{' and '.join(str(out / name / 'report.html') for name in audits)}.\n"
        "Read NNU first: the share of units that never fired on the test images, lower is better. In the "
        "study behind these measures, better models also had a spectrum with a tail to the right (positive "
        "skewness) and even layer maxima (low consistency)."
    )


def _train(name: str, recipe: Recipe, data: Digits, *, seed: int, epochs: int) -> DigitsNet:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ..experiments.digits import train

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"training {name}", total=epochs, loss="")
        return train(
            recipe,
            data,
            seed=seed,
            epochs=epochs,
            on_epoch=lambda loss: progress.update(task, advance=1, loss=f"loss {loss:.4f}"),
        )


def _audit(model: DigitsNet, data: Digits) -> Audit:
    from torch.utils.data import DataLoader, TensorDataset

    from ..auditor import audit
    from .accuracy import Accuracy

    accuracy = Accuracy()
    loader = DataLoader(TensorDataset(data.test_images, data.test_labels), batch_size=64)
    result = audit(model, loader, forward=accuracy, progress=False)
    assert accuracy.value is not None  # the labels and logits are ours
    result.annotations = {**result.annotations, "accuracy": accuracy.value}
    return result


def _table(comparison: Comparison) -> Table:
    """The measures of the thesis beside accuracy, narrow enough for any terminal."""
    from rich.table import Table

    from .. import text

    table = Table()
    for heading in ("model", "accuracy", "NNU", "dead units", "skewness", "consistency"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in comparison.rows():
        table.add_row(
            row["model"],
            text.percent(row["accuracy"]),
            text.percent(row["nnu"]),
            f"{text.count(row['dead'])} of {text.count(row['units'])}",
            text.real(row["skewness"]),
            text.real(row["consistency"]),
        )
    return table
