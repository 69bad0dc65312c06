"""What ``neurocensus audit`` leaves in its folder to go on from: checkpoints, and that it is finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..leftovers import sweep

if TYPE_CHECKING:
    from ..result import Audit
    from ..resuming.carried import Carried
    from ..resuming.checkpoint import Checkpoint
    from .processes import Processes

AUDIT: Final = "audit.safetensors"
FINISHED: Final = "audit-finished.json"
FORMAT: Final = "neurocensus.finished"
FORMAT_VERSION: Final = 1
_CHECKPOINT: Final = "audit-checkpoint"  # a training may have its own in the same folder


class Keeping:
    """Checkpoints of one audit in its folder: a file for each process, while it is not finished.

    Args:
        folder: for all results; None: nothing is kept, and nothing was.
        processes: that take part.
        every: examples of a process between two checkpoints; None: as before, else none are written.
        resume: whether to go on from what is there.

    Raises:
        FileExistsError: the folder holds checkpoints, and `resume` was not said.
        ValueError: they are of another number of processes.
    """

    def __init__(self, folder: Path | None, processes: Processes, *, every: int | None, resume: bool) -> None:
        self._folder, self._processes, self._every, self.resume = folder, processes, every, resume
        self._identity: dict[str, Any] = {}
        there = sorted(path.name for path in self._checkpoints())
        if there and not resume:
            raise FileExistsError(
                f"--out: {folder} holds the checkpoint of an audit that was not finished ({there[0]}); go on "
                "with it by --resume, or delete it to begin anew"
            )
        foreign = [name for name in there if not name.endswith(self._ending)]
        if foreign:
            raise ValueError(
                f"--resume: expected checkpoints of as many processes as now ({processes.size}), got "
                f"{foreign[0]} in {folder}; start as many as then, or delete the checkpoints to begin anew"
            )

    @property
    def audit(self) -> Path:
        """The file of the audit."""
        return (self._folder or Path()) / AUDIT

    @property
    def wanted(self) -> bool:
        """Whether anything is to be kept or resumed."""
        return self._every is not None or self.resume

    def of(self, identity: Mapping[str, Any]) -> None:
        """Say what must be the same to go on."""
        self._identity = dict(identity)

    def checkpoint(self, carried: Mapping[str, Carried]) -> Checkpoint | None:
        """This process's own.

        Raises:
            ValueError: it is damaged, or of another audit.
        """
        if self._folder is None or not self.wanted:
            return None
        from ..resuming.checkpoint import Checkpoint

        if self._every is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            sweep(self._folder)
        elif not self._folder.is_dir():
            return None
        size, rank = self._processes.size, self._processes.rank
        path = self._folder / (f"{_CHECKPOINT}-{rank}{self._ending}" if size > 1 else self._ending)
        return Checkpoint(path, every=self._every, resume=self.resume, of=self._identity, carried=carried)

    def finished(self) -> Audit | None:
        """The audit in the folder, if it is this one and came to its end.

        Raises:
            ValueError: it is finished, and another one.
        """
        if self._folder is None or not self.resume or any(self._checkpoints()):
            return None
        said = _read(self._folder / FINISHED)
        if said is None or said["audit"] != _digest(self.audit):
            return None
        from ..resuming.identity import check

        check(self._folder / FINISHED, said["identity"], self._whole())
        return storage.load(self.audit)

    def finish(self) -> None:
        """All results are there: say so, and remove the checkpoints. One process does this for all."""
        if self._folder is None:
            return
        if self.wanted:
            content = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "audit": _digest(self.audit),
                "identity": self._whole(),
            }
            storage.write_text(self._folder / FINISHED, json.dumps(content, indent=2) + "\n")
        else:
            (self._folder / FINISHED).unlink(missing_ok=True)  # of an audit that this one has replaced
        for path in self._checkpoints():
            path.unlink()

    def _checkpoints(self) -> list[Path]:
        return [] if self._folder is None else list(self._folder.glob(f"{_CHECKPOINT}*.safetensors"))

    @property
    def _ending(self) -> str:
        """Of the names of checkpoints of so many processes."""
        size = self._processes.size
        return f"-of-{size}.safetensors" if size > 1 else f"{_CHECKPOINT}.safetensors"

    def _whole(self) -> dict[str, Any]:
        """The identity of the audit, whoever made it."""
        return {name: value for name, value in self._identity.items() if name != "process"}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None if there is none."""
    if not path.is_file():
        return None
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            whole.update(part)
    return whole.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """What `Keeping.finish` wrote; None if there is no such file, or something else."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(content, dict) and content.get("format") == FORMAT
    whole = known and content.get("format_version") == FORMAT_VERSION
    return content if whole and {"audit", "identity"} <= content.keys() else None
