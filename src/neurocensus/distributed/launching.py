"""`launched`: the process group of a program that torchrun has started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta

import torch
import torch.distributed as dist

_WHO = ("RANK", "WORLD_SIZE")
_WHERE = ("MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def launched(device: str = "cpu", *, timeout: float | None = None) -> Iterator[tuple[int, int]]:
    """Join the process group that the environment describes, as torchrun does; leave it at the end.

    ::

        with launched() as (rank, world_size):
            mine = part(len(examples), rank, world_size)

    Without such an environment there is one process: (0, 1), and no group. Where there is a group already, it
    is used, and stays. Once in a program: torch cannot make a second group over torchrun's store.

    Args:
        device: where the model runs. On "cpu" the backend is gloo. On "cuda" it is NCCL, and this process's
            device, which "cuda" then means, is the one that torchrun numbers LOCAL_RANK.
        timeout: seconds, of the group's own collectives; default torch's.

    Yields:
        Rank and number of processes.

    Raises:
        RuntimeError: this build of torch has no `torch.distributed`, or no such backend.
        ValueError: an environment that names some processes, but not all that is needed to find them; no CUDA
            device of that number.
    """
    if dist.is_available() and dist.is_initialized():
        yield dist.get_rank(), dist.get_world_size()
        return
    world = _world(os.environ)
    if world is None:
        yield 0, 1
        return
    if not dist.is_available():
        raise RuntimeError("this build of torch has no torch.distributed; run one process, without torchrun")
    place = torch.device(device)
    if place.type == "cuda":
        _take_device(place, os.environ.get("LOCAL_RANK", "0"))
    dist.init_process_group(
        "nccl" if place.type == "cuda" else "gloo",
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )
    try:
        yield world
    finally:
        dist.destroy_process_group()


def _world(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Rank and number of processes; None where the environment speaks of one process only, or of none."""
    missing = [name for name in (*_WHO, *_WHERE) if not environment.get(name)]
    if not missing:
        rank, size = (_number(name, environment[name]) for name in _WHO)
        if not rank < size:
            raise ValueError(f"RANK: expected less than WORLD_SIZE={size}, got {rank}")
        return rank, size
    given = environment.get("WORLD_SIZE") or "1"
    if _number("WORLD_SIZE", given) <= 1:
        return None
    raise ValueError(
        f"the environment has WORLD_SIZE={given}, but not {', '.join(missing)}: start the processes by "
        "torchrun, or unset WORLD_SIZE for a single one"
    )


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"{name}: expected a number in the environment, got {value!r}")
    return int(value)


def _take_device(place: torch.device, local_rank: str) -> None:
    there, mine = torch.cuda.device_count(), _number("LOCAL_RANK", local_rank)
    if place.index is not None and place.index != mine:
        raise ValueError(
            f"device: expected 'cuda', of which each process takes its own, "
            f"got {str(place)!r} in process {mine}"
        )
    if mine >= there:
        raise ValueError(
            f"LOCAL_RANK: expected less than the number of CUDA devices here ({there}), got {mine}; start "
            "fewer processes (torchrun --nproc-per-node)"
        )
    torch.cuda.set_device(mine)
