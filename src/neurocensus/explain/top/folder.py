"""`save_top`: what was found, in a folder, with a contact sheet for each layer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import pages
from .result import TopExamples

FILE = "top.safetensors"


def save_top(
    top: TopExamples,
    directory: str | os.PathLike[str],
    images: Any = None,
    *,
    labels: Any = None,
    classes: Sequence[str] | None = None,
) -> list[Path]:
    """Leave ``top.safetensors`` and a contact sheet of each layer in a folder, made where it is missing.

    Sheets are JPEG files with the number and the name of the layer: ``03-features.4.jpg``. All files or none.
    The sheets of an earlier run, as its ``top.safetensors`` lists the layers, go; what else is there stays.

    Args:
        top: what `top_examples` found.
        directory: the folder.
        images, labels, classes: see `plot_contact_sheet`; without images there are no sheets.

    Returns:
        The paths.

    Raises:
        TypeError, ValueError: as `plot_contact_sheet`.
        OSError: a full disk, no permission.
    """
    files: dict[str, bytes | str] = {FILE: top.dump()}
    if images is not None:
        from .contact import plot_contact_sheet

        for name, layer in zip(_sheets(top), top.layers.values(), strict=True):
            figure = plot_contact_sheet(layer, images, labels=labels, classes=classes)
            files[name] = pages.draw(figure, photographs=True).content
    earlier = _sheets_in(Path(directory))
    paths = pages.write_files(directory, files)
    ours = {name.casefold() for name in files}  # on some disks "A.jpg" is "a.jpg"
    for sheet in earlier:
        if sheet.name.casefold() not in ours and sheet.is_file():
            sheet.unlink()
    return paths


def _sheets(top: TopExamples) -> list[str]:
    """The name of each layer's sheet, in their order."""
    digits = len(str(len(top.layers)))
    plain = (re.sub(r"[^\w.-]+", "_", layer.name, flags=re.ASCII)[:80] for layer in top.layers.values())
    return [f"{number:0{digits}d}-{name}.jpg" for number, name in enumerate(plain, 1)]


def _sheets_in(folder: Path) -> list[Path]:
    """The sheets that belong to what the folder has; none where that is nothing, or cannot be read."""
    try:
        return [folder / name for name in _sheets(TopExamples.load(folder / FILE))]
    except (OSError, ValueError):
        return []
