"""Train a model on with its dead units held at zero, as published."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from torch import nn

from ..storage import write_text
from .masks import Mask

if TYPE_CHECKING:
    from ..data import Examples
    from ..training import Callback, History, Settings
    from ..training.loop import Augment, OnStep

FILE: Final = "mask.json"


def retrain(
    model: nn.Module,
    dead: Mapping[str, Any],
    train: Examples,
    validation: Examples,
    settings: Settings,
    *,
    folder: str | os.PathLike[str],
    unit_axis: int | Mapping[str, int] | None = None,
    augment: Augment | None = None,
    callbacks: Sequence[Callback] = (),
    on_step: OnStep | None = None,
    restore: Literal["last", "best"] = "last",
    progress: bool = True,
) -> tuple[Mask, History]:
    """Train `model` with the units `dead` held at zero in every forward.

    As in the published test, where a new copy of the model is trained with masks from the trained one's
    audit: give a new model for that, or the trained one to train it on. Interrupted and called again with the
    same arguments, it goes on where it was.

    Args:
        model: trained in place.
        dead, unit_axis: as for `Mask`.
        train, validation, settings, folder, augment, callbacks, on_step, restore, progress: as for
            `training.fit`. The folder also gets ``mask.json``: the masked units.

    Returns:
        The mask, still on the model: without it these units would be random. ``mask.remove()`` takes it off.
        And the history of the training.

    Raises:
        TypeError, ValueError: as `Mask` and `training.fit`; a folder with a training with another mask.
        All else that `training.fit` raises. The mask is off the model then.
    """
    from ..training import fit

    mask = Mask(model, dead, unit_axis=unit_axis)
    _check_folder(Path(folder), mask)
    mask.attach()
    try:
        history = fit(
            model, train, validation, settings, folder=folder, augment=augment, callbacks=callbacks,
            on_step=on_step, restore=restore, progress=progress,
        )  # fmt: skip
    except BaseException:
        mask.remove()
        raise
    return mask, history


def _check_folder(folder: Path, mask: Mask) -> None:
    """Note the mask, of which the checkpoint knows nothing; raise ValueError if there is another."""
    units = {name: indices.tolist() for name, indices in sorted(mask.units.items())}
    wanted = {"units": units, "axes": dict(sorted(mask.axes.items()))}
    path = folder / FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise ValueError(
                f"folder: {folder} holds other files and no {FILE}: perhaps a training without a mask; give "
                "an empty one"
            )
        write_text(path, json.dumps(wanted) + "\n")
        return
    try:
        had = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"folder: {path} is damaged ({error}); give another folder") from error
    if had != wanted:
        raise ValueError(
            f"folder: {folder} holds a training with another mask, {_brief(had)}; this one is "
            f"{_brief(wanted)}; give another folder"
        )


def _brief(mask: Any) -> str:
    units = mask.get("units", {}) if isinstance(mask, dict) else {}
    count = sum(map(len, units.values()))
    digest = hashlib.sha256(json.dumps(mask, sort_keys=True).encode()).hexdigest()[:8]
    return f"{count} units in {len(units)} layers (hash {digest})"
