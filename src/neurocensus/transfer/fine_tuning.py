"""Two-phase fine-tuning: first the head on a frozen backbone, then the backbone's last blocks, slowly."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from torch import nn

from ..capture.names import unwrapped
from ..hashing import Digest
from ..storage import write_text
from .freezing import check_block, freeze, unfreeze_from

if TYPE_CHECKING:
    from ..data import Examples
    from ..training import Callback, History, Settings
    from ..training.loop import Augment, OnStep

HEAD: Final = "head"
BLOCKS: Final = "blocks"
_START: Final = "start.json"


def fine_tune(
    model: nn.Module,
    train: Examples,
    validation: Examples,
    *,
    head: Settings,
    blocks: Settings,
    unfreeze: str,
    folder: str | os.PathLike[str],
    augment: Augment | None = None,
    callbacks: Sequence[Callback] = (),
    on_step: OnStep | None = None,
    restore: Literal["last", "best"] = "last",
    progress: bool = True,
) -> tuple[History, History]:
    """Train the head on a frozen backbone, then head and backbone from block `unfreeze` on.

    A new head sends large, random gradients into the backbone, which would undo what it has learnt; so the
    head goes first, and the blocks follow at a lower rate. Called again with the same arguments after an
    interruption, both phases go on where they were.

    Args:
        model: has the attribute ``backbone``, such as `neurocensus.zoo.Transfer`; all else is its head.
            Trained in place; afterwards the blocks from `unfreeze` on can learn, those before are frozen.
        train, validation: the data.
        head, blocks: how to train in the first and in the second phase.
        unfreeze: see `unfreeze_from`.
        folder: made if missing; the phases have their own inside, "head" and "blocks".
        augment, callbacks, on_step, restore, progress: for both phases, as for `training.fit`. `restore`
            also says which weights of the first phase the second begins with.

    Returns:
        The histories of both phases.

    Raises:
        TypeError: the model has no ``backbone``.
        ValueError: an unknown block; a folder whose second phase began with another head.
        All that `training.fit` raises.
    """
    from ..training import fit

    backbone = getattr(unwrapped(model), "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise TypeError(
            f"model: expected one with a module called backbone, such as neurocensus.zoo.Transfer, got "
            f"{type(model).__name__} without; freeze, training.fit and unfreeze_from do the same step by step"
        )
    check_block(model, unfreeze)
    if blocks.learning_rate >= head.learning_rate:
        warnings.warn(
            f"blocks: expected a learning rate below the head's {head.learning_rate:g}, got "
            f"{blocks.learning_rate:g}; fast steps undo what the backbone has learnt",
            UserWarning,
            stacklevel=2,
        )
    place = Path(folder)

    def trained(phase: str, settings: Settings) -> History:
        return fit(
            model, train, validation, settings, folder=place / phase, augment=augment, callbacks=callbacks,
            on_step=on_step, restore=restore, progress=progress,
        )  # fmt: skip

    freeze(backbone)
    first = trained(HEAD, head)
    unfreeze_from(model, unfreeze)
    _check_start(place / BLOCKS, model)
    return first, trained(BLOCKS, blocks)


def _check_start(folder: Path, model: nn.Module) -> None:
    """Note with which weights the second phase begins; raise ValueError if it began with others."""
    digest = Digest("neurocensus.fine_tune 1")
    digest.add_tensors(model.state_dict().items())
    note, path = {"weights": digest.hex()}, folder / _START
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_text(path, json.dumps(note) + "\n")
    elif path.read_text("utf-8") != json.dumps(note) + "\n":
        raise ValueError(
            f"folder: the second phase in {folder} began with other weights than the first phase has now "
            "(trained for longer?); give another folder, or delete this one to train the blocks again"
        )
