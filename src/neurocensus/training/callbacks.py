"""What may be done at the end of an epoch: the protocol, and the audit as one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import nn

from ..selection import Layers

if TYPE_CHECKING:
    from ..data import Examples


class Callback(Protocol):
    """Called at the end of each epoch, after the validation; what it gives joins the epoch's row.

    It may be called twice for one epoch, if the training was killed before the epoch was written down. What
    it draws from the global random generators does not change the training: each epoch is seeded anew.
    """

    def __call__(self, epoch: int, model: nn.Module) -> Mapping[str, float]:
        """`epoch` counts from 1."""
        ...


class AuditEvery:
    """Audit the model every few epochs; nnu, dead, skewness and consistency join the epoch's row.

    Args:
        epochs: audit after each so many.
        examples: the data to audit on.
        layers: as for `neurocensus.audit`.
        folder: gets ``epoch-0010.safetensors`` and so on, one audit each; made if missing. None: not kept.

    Raises:
        ValueError: `epochs` is below 1, or there are no examples.
    """

    BATCH_SIZE = 100

    def __init__(
        self,
        epochs: int,
        examples: Examples,
        *,
        layers: Layers = "published",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(epochs, int) or isinstance(epochs, bool):
            raise TypeError(f"epochs: expected an integer, got {type(epochs).__name__}")
        if epochs < 1:
            raise ValueError(f"epochs: expected at least 1, got {epochs}")
        if not len(examples):
            raise ValueError("examples: expected at least one to audit on, got none")
        self.epochs, self.examples, self.layers = epochs, examples, layers
        self.folder = None if folder is None else Path(folder)

    def __call__(self, epoch: int, model: nn.Module) -> Mapping[str, float]:
        """The audit's numbers if one is due, else nothing."""
        from ..auditor import audit
        from ..data import batches

        if epoch % self.epochs:
            return {}
        found = audit(model, batches(self.examples, self.BATCH_SIZE), layers=self.layers, progress=False)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            found.annotations = {"epoch": epoch}
            found.save(self.folder / f"epoch-{epoch:04d}.safetensors")
        return {
            "nnu": found.nnu,
            "dead": found.dead,
            "skewness": found.spectrum().skewness,
            "consistency": found.range().consistency,
        }
