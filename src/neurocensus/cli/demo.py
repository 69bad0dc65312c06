"""``neurocensus demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import check_folder, console

if TYPE_CHECKING:
    from rich.table import Table

    from ..compare import Comparison


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the reports, plots and audit files.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the split, initial weights and augmentation.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each training, to see less of it.")] = None,
) -> None:
    """Train five small networks on scanned digits, from a plain CNN to a fine-tuned one, and audit them.

    The last three start from a network that knows the digits 0 to 4; all learn 5 to 9 from 20 scans each.
    Takes about fifteen seconds. Needs scikit-learn: pip install 'neurocensus\\[demo]'
    """
    check_folder(out)
    from ..experiments import digits, study
    from ..report import save_all
    from ..threads import torch_threads

    with tempfile.TemporaryDirectory() as scratch, torch_threads(1):
        trials = digits.trials(Path(scratch), seed=seed, epochs=epochs)
        done = study.run("Digits", trials, Path(scratch))
    comparison = done.comparison
    console().print(_table(comparison))
    for name, finished in done.finished.items():
        save_all(finished.audit, out / name)
    save_all(comparison, out)
    typer.echo(
        f"All models side by side: {out / 'report.html'}; one by one: {out / 'digits-1' / 'report.html'} "
        "and so on.\n"
        "Read NNU first: the share of units that never fired on the test images, lower is better. In the "
        "study behind these measures, better models also had a spectrum with a tail to the right (positive "
        "skewness) and even layer maxima (low consistency). See whether these five agree."
    )


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
