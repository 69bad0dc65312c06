"""The work of ``neurocensus audit``: this process's share of it, and then the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..resuming.carried import Carried, Saved
from .accuracy import Accuracy
from .strongest import Strongest

if TYPE_CHECKING:
    from torch import nn

    from ..data.decoding import Unreadable
    from ..data.sharing import Share
    from ..data.source import Data
    from ..explain import TopExamples
    from ..result import Audit
    from ..selection import Layers
    from .keeping import Keeping
    from .processes import Processes


@dataclass(frozen=True)
class Job:
    """What is to be counted, and how."""

    model: nn.Module
    data: Data
    layers: Layers
    threshold: float
    histogram: bool
    device: str
    max_examples: int | None
    top: int | None

    def identity(self, data: str) -> dict[str, Any]:
        """What must be the same to go on; `data` is what the user called it."""
        from ..data.indexed import Indexed
        from ..resuming.identity import identity

        settings = {
            "layers": self.layers,
            "threshold": self.threshold,
            "histogram": self.histogram,
            "device": self.device,
            "max examples": self.max_examples,
            "top": self.top,
        }
        if not isinstance(self.data.batches, Indexed):
            settings["data"] = data
        return identity(self.model, self.data.batches, settings)


@dataclass(frozen=True)
class Found:
    """What came of it."""

    audit: Audit
    strongest: TopExamples | None = None


def take(job: Job, keeping: Keeping, processes: Processes) -> Found:
    """Count what this process is to count, and join what all have: every process gets the whole.

    Raises:
        ValueError: no examples; a checkpoint that cannot be gone on from.
        typer.Exit: another process has failed, and has said why.
        Also everything `neurocensus.audit` raises.
    """
    from ..auditor import Auditor, audited
    from ..capture.names import unwrapped
    from ..data.sharing import Dealt
    from ..explain import TopRecorder

    model = unwrapped(job.model)
    accuracy = Accuracy(len(job.data.classes) or None)
    carried: dict[str, Carried] = {"accuracy": accuracy, "skipped": _Skipped(job.data.skipped)}
    strongest = None
    if job.top is not None:
        strongest = Strongest(TopRecorder(model, job.top, layers=job.layers))
        carried["top"] = strongest
    mine = _share(job, processes)
    dealt: dict[str, Carried] = {"seen": mine.batches} if isinstance(mine.batches, Dealt) else {}
    checkpoint = keeping.checkpoint(carried | dealt)
    begun = 0 if checkpoint is None else checkpoint.examples
    if keeping.resume:
        begun = sum(said.values for said in processes.tell(Saved(begun)))
        processes.note(f"goes on after {begun} examples" if begun else "no checkpoint: begins at the start")
    auditor = Auditor(model, layers=job.layers, threshold=job.threshold, histogram=job.histogram)
    result = audited(
        auditor,
        mine.batches if mine.limit != 0 else (),
        max_examples=mine.limit or None,
        device=job.device,
        forward=_explained(accuracy),
        progress="audit" if processes.speaks else None,
        beside=[] if strongest is None or strongest.recorder is None else [strongest.recorder],
        first_example=mine.first_example,
        checkpoint=checkpoint,
        empty=processes.size > 1,
    )
    if processes.size > 1:
        result = _joined(result, mine, carried, processes)
        if not result.examples:
            raise ValueError("data: expected at least one example, got none")
    if accuracy.value is not None:
        result.annotations = {**result.annotations, "accuracy": accuracy.value}
    elif accuracy.reason:
        processes.note(f"no accuracy: {accuracy.reason}")
    return Found(result, None if strongest is None else strongest.found)


def _share(job: Job, processes: Processes) -> Share:
    from ..data.sharing import Share, share

    if processes.size == 1:
        return Share(job.data.batches, job.max_examples)

    def announce(said: Any) -> list[Any]:
        return [each.values for each in processes.tell(Saved(said))]

    return share(job.data.batches, processes.rank, processes.size, announce, job.max_examples)


def _joined(result: Audit, mine: Share, carried: dict[str, Carried], processes: Processes) -> Audit:
    """The audit of all processes; what is carried along becomes that of all."""
    from ..data.sharing import Dealt, check_dealt
    from ..distributed import gather

    said = processes.tell(
        Saved([result.examples, mine.batches.seen if isinstance(mine.batches, Dealt) else []])
    )
    check_dealt([each.values[1] for each in said])
    before = sum(each.values[0] for each in said[: processes.rank]) if mine.order == "consecutive" else 0
    step, first = (processes.size, processes.rank) if mine.order == "interleaved" else (1, before)
    for each in carried.values():
        saved = each.placed(lambda i: i * step + first) if isinstance(each, Strongest) else each.save()
        each.restore(*processes.tell(saved))
    if mine.order == "interleaved":
        return gather(result, order="interleaved")
    return gather(result, start=first)


class _Skipped:
    """The list of unreadable images, as something to be carried along."""

    def __init__(self, skipped: list[Unreadable]) -> None:
        self._skipped = skipped

    def save(self) -> Saved:
        return Saved([[str(bad.path), bad.reason] for bad in self._skipped])

    def restore(self, *parts: Saved) -> None:
        from ..data.decoding import Unreadable

        self._skipped[:] = [Unreadable(Path(path), reason) for part in parts for path, reason in part.values]


def _explained(forward: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`forward`, whose errors also say what the model was given: most are about its shape or dtype."""

    def run(model: Any, batch: Any) -> Any:
        try:
            return forward(model, batch)
        except RuntimeError as error:
            first = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
            shape = f" of shape {tuple(first.shape)}, {first.dtype}" if hasattr(first, "shape") else ""
            raise RuntimeError(
                f"the model failed on a batch{shape}: {error}\nDoes the data have the shape and type that "
                "the model takes? See --image-size for images, --key and --raw for arrays"
            ) from error

    return run
