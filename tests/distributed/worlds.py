"""Real process groups to test with: gloo over loopback, a process per rank, all gone at the end.

Processes are forked from a server that has torch in memory already, so a world takes half a second.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch.distributed as dist

PATIENCE = 60.0  # seconds for anything a rank is asked to do


@dataclass
class Raised:
    """What a call on a rank raised."""

    kind: str
    message: str
    ranks: tuple[int, ...]
    trace: str


@dataclass
class Gone:
    """The process ended instead of answering."""

    exitcode: int | None


class World:
    """Ranks that wait to be told what to call. ``with World(4) as world: world.run(function, ...)``.

    Args:
        size: number of processes.
        grouped: make the default process group at the start.
        by_rank_0: let rank 0 keep the group's store; else this process does, as torchrun's does.
    """

    def __init__(self, size: int, *, grouped: bool = True, by_rank_0: bool = False) -> None:
        self.size = size
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._setting = (size, self.store.port, grouped, by_rank_0)

    def __enter__(self) -> World:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "torch.distributed", "neurocensus.distributed.gathering"])
        self._pipes: list[Connection] = []
        self.processes = []
        for rank in range(self.size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, theirs, *self._setting), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self.processes.append(process)
        try:
            assert self.run(os.getpid) == [process.pid for process in self.processes]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        for process in self.processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def start(self, function: Callable[..., Any], *args: Any, ranks: Sequence[int] | None = None) -> None:
        """Let ranks (all) call a function of a module; see `answers`."""
        for rank in range(self.size) if ranks is None else ranks:
            self._pipes[rank].send((function, args))

    def answers(self, ranks: Sequence[int] | None = None) -> list[Any]:
        """What the calls gave, `Raised`, or `Gone`."""
        deadline = time.monotonic() + PATIENCE
        return [self._answer(rank, deadline) for rank in (range(self.size) if ranks is None else ranks)]

    def _answer(self, rank: int, deadline: float) -> Any:
        if not self._pipes[rank].poll(max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"rank {rank} did not answer within {PATIENCE} s")
        try:
            return self._pipes[rank].recv()
        except EOFError:
            self.processes[rank].join(5)
            return Gone(self.processes[rank].exitcode)

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Let all ranks call a function; what it gave on each, or `Raised`."""
        self.start(function, *args)
        return self.answers()

    def results(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """As `run`; none of them may have raised."""
        answers = self.run(function, *args)
        for answer in answers:
            assert not isinstance(answer, (Raised, Gone)), getattr(answer, "trace", answer)
        return answers


def _serve(rank: int, pipe: Connection, size: int, port: int, grouped: bool, by_rank_0: bool) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    if grouped and by_rank_0:
        store = _of_rank_0(rank, store)
    if grouped:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):  # the test is over
            break
        if task is None:
            break
        function, args = task
        try:
            answer = function(*args)
        except Exception as error:
            ranks = getattr(error, "ranks", ())
            answer = Raised(type(error).__name__, str(error), ranks, traceback.format_exc())
        pipe.send(answer)
    os._exit(0)  # without waiting for collectives that a test has broken


def _of_rank_0(rank: int, meeting_point: dist.TCPStore) -> dist.TCPStore:
    if rank == 0:
        mine = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        meeting_point.set("port", str(mine.port))
        return mine
    return dist.TCPStore("127.0.0.1", int(meeting_point.get("port")), is_master=False)
