"""`Checkpoint`: an audit's progress, saved now and then, to go on from after a kill at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import randomness
from ..arguments import integer
from ..result import Audit
from . import file, identity
from .carried import Carried, Saved
from .stream import Stream

if TYPE_CHECKING:
    from ..auditor import Auditor


class Checkpoint:
    """Saves what an audit has counted, at the end of a batch, whenever so many examples have gone by.

    States are restored and not merged, so that an audit that went on equals one that was never interrupted,
    bit for bit, where the batches are the same.

    Args:
        path: the file; a folder for it must be there.
        every: examples between two checkpoints; None: as the checkpoint at `path` has it, else never.
        resume: go on from `path`, if there is such a file. Without it a file there is an error: it may be
            hours of work.
        of: what must be the same to go on, see `identity`.
        carried: what else is to be saved and restored, by names.

    Attributes:
        found: what there is to go on from.

    Raises:
        FileExistsError: there is a checkpoint, and `resume` was not said.
        FileNotFoundError: the folder is not there.
        ValueError: the checkpoint is damaged, or of another audit; `every` below 1.
        TypeError: `every` is no integer.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int | None,
        resume: bool,
        of: Mapping[str, Any],
        carried: Mapping[str, Carried] | None = None,
    ) -> None:
        self.path, self._identity, self._carried = Path(path), dict(of), dict(carried or {})
        every = None if every is None else integer("checkpoint_every", every, 1)
        if not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(
                f"checkpoint: the folder {self.path.parent} does not exist; create it first"
            )
        if self.path.exists() and not resume:
            raise FileExistsError(
                f"checkpoint: {self.path} is of an audit that was begun; go on with it by --resume "
                "(resume=True), or delete it to begin anew"
            )
        self.found: file.Progress | None = None
        if self.path.exists():
            self.found = file.read(self.path)
            identity.check(self.path, self.found.identity, self._identity)
            every = self.found.every if every is None else every
        self._every = every
        self._saved_at = self.examples
        self._stream = Stream(())

    @property
    def done(self) -> Audit | None:
        """The audit, if it came to its end before."""
        return self.found.audit if self.found is not None and self.found.done else None

    @property
    def examples(self) -> int:
        """Examples that were counted before."""
        return 0 if self.found is None else self.found.audit.examples

    @property
    def batches(self) -> int:
        """Batches that were."""
        return 0 if self.found is None else self.found.audit.batches

    def begin(self, auditor: Auditor) -> None:
        """Let `auditor`, which has seen nothing yet, and what is carried along go on from what was found."""
        self._auditor = auditor
        if self.found is not None:
            auditor._go_on("eval", self.found.audit)
            for name, carried in self._carried.items():
                carried.restore(self.found.carried[name])

    def rest_of(self, loader: Iterable[Any], device: torch.device | None) -> Iterable[Any]:
        """The batches to come. Before the first of them the random states become what they were there."""
        self._device = torch.device("cpu") if device is None else device
        if self.found is None:
            self._stream = Stream(loader)
        else:
            self._stream = Stream(loader, self.found.position, self.found.checksum, self._restore_random)
        return self._stream

    def passed(self, examples: int, batches: int) -> None:
        """A batch is over: save, if it is time to.

        Args:
            examples, batches: so far, those before an interruption among them.

        Raises:
            OSError: it cannot be written (a full disk). The last checkpoint is as it was.
        """
        if self._every is not None and examples - self._saved_at >= self._every:
            self._write(self._auditor._local("eval", examples, batches), done=False)
            self._saved_at = examples

    def end(self, audit: Audit) -> None:
        """All batches are over: save the whole. Whoever has put the audit elsewhere may remove the file.

        Raises:
            OSError: as `passed`.
        """
        if self._every is not None or self.found is not None:
            self._write(audit, done=True)

    def _write(self, audit: Audit, *, done: bool) -> None:
        tensors, values = randomness.states(self._device)
        progress = file.Progress(
            identity=self._identity,
            audit=audit,
            position=self._stream.position,
            checksum=self._stream.checksum,
            every=self._every,
            done=done,
            random=Saved(values, {name: np.asarray(tensor) for name, tensor in tensors.items()}),
            carried={name: carried.save() for name, carried in self._carried.items()},
        )
        try:
            file.write(self.path, progress)
        except OSError as error:
            kept = "the last good one is untouched" if self.path.exists() else "there is none yet"
            raise OSError(
                error.errno, f"{error.strerror}: the checkpoint was not written, {kept}", error.filename
            ) from error

    def _restore_random(self) -> None:
        assert self.found is not None
        saved = self.found.random
        tensors = {name: torch.from_numpy(array.copy()) for name, array in saved.arrays.items()}
        randomness.restore(tensors, saved.values, self._device)
