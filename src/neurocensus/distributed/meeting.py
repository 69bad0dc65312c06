"""A meeting of all ranks: it begins when all have come, and no rank waits forever for one that is gone.

Collectives alone cannot do that: a missing rank makes them hang, and they do not say which. So ranks meet in
the process group's key-value store first, and watch it while they wait for a collective.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakKeyDictionary

import torch.distributed as dist

from .. import text
from .group import Group, RankError, named

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

GRACE = 10.0
"""Seconds that ranks have to answer, once one of them has noticed that something is wrong."""

_LONGEST_PAUSE = 0.05  # seconds between two looks into the store
_GO = b"go"

# By group: how often it was met in, and under which prefix of the store. A store may outlive groups of the
# same name (torchrun's does), so the prefix counts those.
_meetings: WeakKeyDictionary[dist.ProcessGroup, tuple[str, int]] = WeakKeyDictionary()


class Meeting:
    """``with Meeting(group, timeout) as meeting:`` all ranks are here; then each waits by `wait`.

    Args:
        group: whose ranks meet.
        timeout: seconds to wait for the ranks to come, and for each collective.

    Raises:
        RankError: on every rank that came: some did not, or ended, hang or failed before the end.
    """

    def __init__(self, group: Group, timeout: float) -> None:
        self._group, self._timeout = group, timeout
        self._me = group.ranks[group.rank]

    def __enter__(self) -> Meeting:
        try:
            self._store, before = _places(self._group)
            verdict = self._roll_call()
        except RuntimeError as error:
            raise self._storeless(error) from error
        if verdict != _GO:
            self._refuse(verdict)
        if before is not None:  # all have come here, so nobody looks there any more
            self._clear(before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell the others: that this rank is through, or what happened to it."""
        if isinstance(error, RankError):
            return
        what = "" if error is None else f"{type(error).__name__}: {error}"
        with contextlib.suppress(RuntimeError):  # the store is gone: so are those who would read it
            self._answer(what)
            if what:
                self._store.set("stopped", "")

    def wait(self, start: Callable[[], dist.Work]) -> None:
        """Start a collective (``async_op=True``), and wait until it is done."""
        try:
            work = start()
            self._watch(work)
            work.wait()
        except RankError:
            raise
        except RuntimeError as error:  # a connection closed, most often
            self._stop(str(error), error)

    def _watch(self, work: dist.Work) -> None:
        deadline, pause, look = time.monotonic() + self._timeout, 2e-5, time.monotonic() + 0.2
        while not work.is_completed():
            now = time.monotonic()
            if now > deadline:
                self._stop(f"no answer within {self._timeout:g} s")
            if now > look:
                look = now + 0.2
                if self._stopped():
                    self._stop("another rank stopped")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)

    # To come.

    def _roll_call(self) -> bytes:
        """Wait for all. One rank's word, written once, is the verdict for all of them.

        So a rank that comes late and one that gives up at the same moment cannot think differently.
        """
        store = self._store
        store.set(f"here/{self._me}", "")
        if store.add("arrived", 1) == self._group.size:
            return _once(store, "verdict", _GO)
        if _within(self._timeout, lambda: store.check(["verdict"])):
            return bytes(store.get("verdict"))
        missing = [str(rank) for rank in self._group.ranks if not store.check([f"here/{rank}"])]
        refusal = " ".join([f"{self._timeout:g}", *missing]).encode()
        return _once(store, "verdict", refusal if missing else _GO)

    def _refuse(self, verdict: bytes) -> NoReturn:
        seconds, *missing = verdict.decode().split()
        ranks = [int(rank) for rank in missing]
        raise RankError(
            f"{named(ranks)} did not come within {seconds} s, so nothing was joined: all ranks of the group "
            "have to make this call. Look for an error in its own output; if it is only slow, give it time: "
            "timeout=",
            ranks,
        )

    def _clear(self, before: Store) -> None:
        """Leave no keys of the meeting before."""
        mine = [f"here/{self._me}", f"answer/{self._me}"]
        shared = ["arrived", "verdict", "stopped"] if self._group.rank == 0 else []
        with contextlib.suppress(RuntimeError, NotImplementedError):  # a store that keeps all (FileStore)
            for key in (*mine, *shared):
                before.delete_key(key)

    # When something goes wrong.

    def _stopped(self) -> bool:
        with contextlib.suppress(RuntimeError):  # the store's rank may be through already
            return bool(self._store.check(["stopped"]))
        return False

    def _answer(self, what: str) -> None:
        self._store.set(f"answer/{self._me}", what)

    def _stop(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """Say so to all, hear who answers, and raise with the numbers of those who do not, or who failed."""
        store, silent = self._store, [rank for rank in self._group.ranks if rank != self._me]
        try:
            self._answer("")
            store.set("stopped", "")

            def all_answered() -> bool:
                silent[:] = [rank for rank in silent if not store.check([f"answer/{rank}"])]
                return not silent

            _within(min(GRACE, self._timeout), all_answered)
            answered = [rank for rank in self._group.ranks if rank not in silent]
            said = {rank: store.get(f"answer/{rank}").decode("utf-8", "replace") for rank in answered}
        except RuntimeError as lost:
            raise self._storeless(lost) from lost
        failed = {rank: what for rank, what in said.items() if what}
        if failed:
            what = "; ".join(f"rank {rank} failed: {text.printable(words)}" for rank, words in failed.items())
            raise RankError(f"{what}. Nothing was joined", [*failed]) from error
        if silent:
            raise RankError(
                f"{named(silent)} ended, or hangs, while the audits were joined, so nothing was ({reason}). "
                "Look for an error in its own output",
                silent,
            ) from error
        raise RankError(f"the audits could not be exchanged: {reason}; all ranks are alive") from error

    def _storeless(self, error: BaseException) -> RankError:
        by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        keeper = "torchrun" if by_agent else "rank 0, unless it was made elsewhere"
        return RankError(
            f"the store of the process group does not answer: the process that keeps it ({keeper}) has "
            f"ended, or cannot be reached: {error}",
            () if by_agent else (0,),
        )


def _places(group: Group) -> tuple[Store, Store | None]:
    """The part of the store for the meeting to come, and that of the one before."""
    if group.handle not in _meetings:
        name = f"neurocensus/{group.handle.group_name}"
        made = _under(name, group.store).add(f"groups/{group.rank}", 1)
        _meetings[group.handle] = f"{name}/{made}", 0
    prefix, number = _meetings[group.handle]
    _meetings[group.handle] = prefix, number + 1
    last = _under(f"{prefix}/{number - 1}", group.store) if number else None
    return _under(f"{prefix}/{number}", group.store), last


def _under(prefix: str, store: Store) -> Store:
    return dist.PrefixStore(prefix, store)  # type: ignore[attr-defined]


def _once(store: Store, key: str, value: bytes) -> bytes:
    """Write what is not there yet; what is there then."""
    written: bytes = store.compare_set(key, "", value.decode())
    return written


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it holds before so many seconds are over. By looking: to wait inside a store would lock it."""
    deadline, pause = time.monotonic() + seconds, 1e-3
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return True
