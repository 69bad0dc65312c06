"""A process group as joining audits needs it: who is in it, its store, where its tensors have to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store


class RankError(RuntimeError):
    """Ranks did not come, ended, hang or failed, so that there is no whole.

    Attributes:
        ranks: their numbers in the default group; empty where it could not be found out.
    """

    def __init__(self, message: str, ranks: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.ranks = tuple(ranks)


@dataclass(frozen=True)
class Group:
    """A process group that this process is in."""

    handle: dist.ProcessGroup
    rank: int
    """This process within the group, from 0."""
    ranks: tuple[int, ...]
    """The group's members by their numbers in the default group, which are those that users know."""
    store: Store
    """The default group's key-value store: it answers whatever the backend, also while ranks are missing."""
    device: torch.device
    """Where tensors have to be for the group's collectives."""

    @property
    def size(self) -> int:
        """Number of processes."""
        return len(self.ranks)


def open_group(group: Any) -> Group:
    """What there is to know of a group; None is the default one.

    Raises:
        RuntimeError: torch has no `torch.distributed`, or it is not initialized.
        TypeError: not a process group.
        ValueError: this process is not in it.
    """
    if not dist.is_available():
        raise RuntimeError("this build of torch has no torch.distributed; join saved audits by merge instead")
    if not dist.is_initialized():
        raise RuntimeError(
            "torch.distributed: expected an initialized process group, got none; call "
            "torch.distributed.init_process_group first, or run under torchrun within "
            "neurocensus.distributed.launched()"
        )
    if group is dist.GroupMember.NON_GROUP_MEMBER:  # what new_group gives to those it leaves out
        raise ValueError(
            f"group: expected one that this process is in, got one without rank {dist.get_rank()}; "
            "call this on the group's own ranks only"
        )
    handle = dist.group.WORLD if group is None else group
    if not isinstance(handle, dist.ProcessGroup):
        raise TypeError(
            f"group: expected a torch.distributed.ProcessGroup or None, got {type(group).__name__}; "
            "of a device mesh, mesh.get_group()"
        )
    ranks = tuple(dist.get_process_group_ranks(handle))
    if dist.get_rank() not in ranks:
        raise ValueError(
            f"group: expected one that this process is in, got one of {named(ranks)} on rank "
            f"{dist.get_rank()}; call this on the group's own ranks only"
        )
    # There is no public way to the store.
    store = dist.distributed_c10d._get_default_store()
    return Group(handle, dist.get_rank(handle), ranks, store, _device_of(handle))


def _device_of(group: dist.ProcessGroup) -> torch.device:
    """The host where the group has a backend for it, else the current device of the first kind it serves."""
    kinds = [entry.partition(":")[0] for entry in dist.get_backend_config(group).split(",")]
    if "cpu" in kinds:
        return torch.device("cpu")
    index = getattr(torch, kinds[0]).current_device()
    return torch.device(kinds[0], index)


def named(ranks: Sequence[int], limit: int = 8) -> str:
    """``"rank 3"``, ``"ranks 0, 2 and 5"``; of many the first ones, and how many more."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    shown = [str(rank) for rank in ranks[:limit]]
    last = f"{len(ranks) - limit} more" if len(ranks) > limit else shown.pop()
    return f"ranks {', '.join(shown)} and {last}"
