"""One model of a study: trained, scored and audited, in a folder that it can be taken up from."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import storage, tables
from .tables import Outcome

if TYPE_CHECKING:
    from torch import nn

    from ..data import Examples
    from ..result import Audit
    from ..training import History, Settings

BATCH = 100
"""Test images at a time."""
OUTCOME = "outcome.json"
"""Written last: its presence says that the audit and the scores beside it are whole and of one test set."""
START = "start.json"
"""What the training began from."""


class Splits(NamedTuple):
    """What a model is trained on, chosen by and judged by."""

    train: Examples
    validation: Examples
    test: Examples


@dataclass(frozen=True)
class Trial:
    """A model to train and audit.

    Args:
        name: also of its folder.
        title: what it is, in a few words.
        build: makes the model as it is before training, the same at every call.
        splits: gives the data; called only if there is work to do.
        settings: of the training.
        augment: applied to each batch while training.
        transferred: does it start from weights that were trained elsewhere, and change them?
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    splits: Callable[[], Splits]
    settings: Settings
    augment: nn.Module | None = None
    transferred: bool = False


@dataclass(frozen=True)
class Finished:
    """What came out of a trial."""

    trial: Trial
    history: History
    audit: Audit
    outcome: Outcome
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    """Of the test set: probabilities (N,) or logits (N, k)."""
    model: nn.Module = field(repr=False)
    images: tuple[int, int, int]
    """How many examples trained, validated and tested it."""


def run_trial(
    trial: Trial, folder: Path, *, audit_every: int | None = None, progress: bool = True
) -> Finished:
    """Train the model, or take up its training, then score and audit the test set.

    `folder` gets what `neurocensus.training.fit` leaves, and ``start.json``, ``audit.safetensors``,
    ``scores.npz`` and ``outcome.json``. What is done is not done again.

    Args:
        audit_every: audit the validation set every so many epochs, into the history. Epochs that are done
            are not audited any more.
        progress: show bars, on a terminal only.

    Raises:
        ValueError: the folder holds the training of another model, from other initial weights, on other data
            or with other settings.
    """
    from ..training import AuditEvery, fit

    splits, model = trial.splits(), trial.build()
    _check_start(trial, model, folder)
    callbacks = (
        [] if audit_every is None else [AuditEvery(audit_every, splits.validation, folder=folder / "audits")]
    )
    history = fit(
        model,
        splits.train,
        splits.validation,
        trial.settings,
        folder=folder,
        augment=trial.augment,
        callbacks=callbacks,
        progress=progress,
    )
    identity = {
        "test": splits.test.fingerprint,
        "epochs": len(history.rows),
        "settings": asdict(trial.settings),
    }
    found = _read(folder, identity)
    if found is None:
        _judge(trial, model, history, splits.test, folder, identity, progress)
        found = _read(folder, identity)
        assert found is not None  # it was just written
    train, validation, test = map(len, splits)
    return Finished(trial, history, *found, model, (train, validation, test))


def _check_start(trial: Trial, model: nn.Module, folder: Path) -> None:
    """Raise if the training in the folder began from other weights than this model's.

    `fit` would not notice: it brings back what its checkpoint holds, frozen weights and buffers (the mean and
    deviation of pixels) included, whatever the model came with.
    """
    from ..training.files import CHECKPOINT

    start = {"seed": trial.settings.seed, "weights": _digest(model)}
    if not (folder / CHECKPOINT).exists():  # nothing is there that could be mixed up
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_text(folder / START, tables.json_text(start))
        return
    try:
        had = json.loads((folder / START).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    # Of another seed, `fit` says that it is another.
    if isinstance(had, dict) and had.get("seed") == start["seed"] and had != start:
        raise ValueError(
            f"folder: {folder} holds a training of {trial.name} that began from other weights: of another "
            "backbone, from another file, for images of another size, or with another mean or std of pixels. "
            "Give what it began with to go on with it, or another folder to train anew"
        )


def _digest(model: nn.Module) -> str:
    """The same for the same parameters and buffers."""
    from torch.nn.parameter import is_lazy

    from ..hashing import Digest

    digest = Digest("neurocensus.start 1")
    digest.add_tensors((name, tensor) for name, tensor in model.state_dict().items() if not is_lazy(tensor))
    return digest.hex()


def _judge(
    trial: Trial,
    model: nn.Module,
    history: History,
    test: Examples,
    folder: Path,
    identity: dict[str, Any],
    progress: bool,
) -> None:
    """Score and audit the test set."""
    from ..assessment import accuracy, confusion
    from ..auditor import audit
    from ..data import batches
    from ..training import predict

    device = trial.settings.device
    scores = predict(model, test, batch_size=BATCH, device=device)
    census = audit(model, batches(test, BATCH), layers="published", device=device, progress=progress)
    outcome = Outcome.from_audit(
        trial.name,
        trial.title,
        census,
        accuracy=accuracy(test.labels, scores),
        confusion=confusion(test.labels, scores) if scores.ndim == 1 else None,
    )
    census.annotations = {
        **census.annotations,
        "model": trial.title,
        "accuracy": outcome.accuracy,
        "epochs": len(history.rows),
    }
    (folder / OUTCOME).unlink(missing_ok=True)  # cut short below, an older one would vouch for newer files
    census.save(folder / "audit.safetensors")
    with storage.atomic(folder / "scores.npz") as path, path.open("wb") as file:
        np.savez(file, labels=test.labels, scores=scores)
    body = {"identity": identity, "outcome": outcome.to_dict()}
    storage.write_text(folder / OUTCOME, tables.json_text(tables.json_ready(body)))


def _read(
    folder: Path, identity: dict[str, Any]
) -> tuple[Audit, Outcome, npt.NDArray[np.int64], npt.NDArray[np.float32]] | None:
    """What `_judge` left; None where it did not, or where it was about another test set or training."""
    try:
        body = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
        if body["identity"] != json.loads(json.dumps(identity)):
            return None
        with (folder / "scores.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels, scores = arrays["labels"], arrays["scores"]
        return storage.load(folder / "audit.safetensors"), Outcome.from_dict(body["outcome"]), labels, scores
    except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # deleted or damaged: made again
