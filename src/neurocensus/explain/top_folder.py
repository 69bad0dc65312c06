"""`save_top`: what was found, in a folder, with a contact sheet for each layer."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import pages
from .top_result import TopExamples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        from .top_sheet import plot_contact_sheet

        digits = len(str(len(top.layers)))
        for number, layer in enumerate(top.layers.values(), 1):
            name = re.sub(r"[^\w.-]+", "_", layer.name, flags=re.ASCII)[:80]
            sheet = plot_contact_sheet(layer, images, labels=labels, classes=classes)
            files[f"{number:0{digits}d}-{name}.jpg"] = _jpeg(sheet)
    return pages.write_files(directory, files)


def _jpeg(figure: Figure) -> bytes:
    """A figure as JPEG: of photographs a fifth of the size that PNG has."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpg", pil_kwargs={"quality": 85, "subsampling": 0})
    return buffer.getvalue()
