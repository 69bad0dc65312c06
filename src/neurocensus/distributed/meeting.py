"""A meeting of all ranks: it begins when all have come, and no rank waits forever for one that is gone.

Collectives alone cannot do that: a missing rank makes them hang, and they do not say which. So ranks meet in
the process group's key-value store first, and watch it while they wait for a collective.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakKeyDictionary

import torch.distributed as dist

from .. import text
from .group import Group, RankError, named

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

GRACE = 10.0
"""Seconds that ranks have to answer, or to meet again, once one has noticed that something is wrong."""

_LONGEST_PAUSE = 0.05  # seconds between two looks into the store
_GO = b"go"


class Meeting:
    """``with Meeting(group, timeout) as meeting:`` all ranks are here; then each waits by `wait`.

    Meetings of a group are numbered. Ranks that wait in vain give a number up, all of them, and one that
    comes to it later leaves it behind: it meets the others at the next number if they come there within
    `GRACE` seconds, and is told what they were told if not.

    Args:
        group: whose ranks meet.
        timeout: seconds to wait for the ranks to come, and for each collective.
        call: what for, in a few words. Ranks that come for something else are refused, with all others.

    Raises:
        RankError: on every rank that came: some did not, or ended, hang or failed before the end, or came
            for something else.
    """

    def __init__(self, group: Group, timeout: float, call: str = "an exchange") -> None:
        self._group, self._timeout, self._call = group, timeout, call
        self._me = group.ranks[group.rank]

    def __enter__(self) -> Meeting:
        try:
            places = _places(self._group)
            self._catch_up(places)
            self._store = places.here()
            places.number += 1  # whatever becomes of this one
            verdict = self._roll_call()
            if verdict != _GO:
                raise _refused(verdict)
        except RankError:
            raise
        except RuntimeError as error:
            raise self._storeless(error) from error
        self._clear(places)
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

    def _catch_up(self, places: _Places) -> None:
        """Leave meetings behind that the others have given up.

        This rank may be late to one of them, or may have left out that call and be at the next already: it
        cannot know. But ranks that train in step are all at the next one soon in the second case, and in
        the first not before this rank goes on, as they wait for its gradients.
        """
        missed: bytes | None = None

        def awaited() -> bool:
            nonlocal missed
            while places.here().check(["verdict"]):
                missed = bytes(places.here().get("verdict"))
                places.number += 1
            return missed is None or bool(places.here().check(["arrived"]))

        met = _within(min(GRACE, self._timeout), awaited)
        if missed is None:
            return
        if not met:
            raise _refused(missed)
        # Before this rank has come: where warnings are errors, it has not left the others in the middle.
        warnings.warn(
            f"the other ranks had given up an earlier call, where {_refused(missed)}. This rank goes on with "
            "the call in which they wait now",
            RuntimeWarning,
            stacklevel=5,  # the caller of gather, or of what calls gather_all
        )

    def _roll_call(self) -> bytes:
        """Wait for all. One rank's word, written once, is the verdict for all of them.

        So a rank that comes late and one that gives up at the same moment cannot think differently.
        """
        store = self._store
        if _once(store, "call", self._call.encode()) != self._call.encode():
            store.set("other call", self._call)
        store.set(f"here/{self._me}", "")
        if store.add("arrived", 1) == self._group.size:
            return _once(store, "verdict", self._all_here())
        if _within(self._timeout, lambda: store.check(["verdict"])):
            return bytes(store.get("verdict"))
        missing = [rank for rank in self._group.ranks if not store.check([f"here/{rank}"])]
        refusal = json.dumps({"missing": missing, "seconds": self._timeout}).encode()
        return _once(store, "verdict", refusal if missing else self._all_here())

    def _all_here(self) -> bytes:
        """The verdict once all have come."""
        if not self._store.check(["other call"]):
            return _GO
        calls = [self._store.get(key).decode() for key in ("call", "other call")]
        return json.dumps({"calls": calls}).encode()

    def _clear(self, places: _Places) -> None:
        """Leave no keys of earlier meetings: all have come to this one, so nobody looks there any more."""
        mine = [f"here/{self._me}", f"answer/{self._me}"]
        shared = ["call", "other call", "arrived", "verdict", "stopped"] if self._group.rank == 0 else []
        with contextlib.suppress(RuntimeError):  # a store that keeps all (FileStore); NotImplementedError too
            for store in places.left_behind():
                for key in (*mine, *shared):
                    store.delete_key(key)

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


@dataclass
class _Places:
    """Where in the store a group meets: one place after the other."""

    store: Store
    prefix: str
    number: int = 0
    """Of the next meeting of this rank."""
    cleared: int = 0
    """Of the first one whose keys may be there still."""

    def here(self) -> Store:
        """The place of the next meeting."""
        return _under(f"{self.prefix}/{self.number}", self.store)

    def left_behind(self) -> list[Store]:
        """The places before that of the meeting under way, each once."""
        behind = range(self.cleared, self.number - 1)
        self.cleared = max(self.cleared, self.number - 1)
        return [_under(f"{self.prefix}/{number}", self.store) for number in behind]


_known: WeakKeyDictionary[dist.ProcessGroup, _Places] = WeakKeyDictionary()


def _places(group: Group) -> _Places:
    if group.handle not in _known:
        name = f"neurocensus/{group.handle.group_name}"
        # A store may outlive groups of the same name (torchrun's does): count those.
        made = _under(name, group.store).add(f"groups/{group.rank}", 1)
        _known[group.handle] = _Places(group.store, f"{name}/{made}")
    return _known[group.handle]


def _refused(verdict: bytes) -> RankError:
    why = json.loads(verdict)
    if "calls" in why:
        one, other = why["calls"]
        return RankError(
            f"ranks met in different calls, '{one}' and '{other}', so nothing was joined: all ranks of the "
            "group have to make the same calls in the same order"
        )
    return RankError(
        f"{named(why['missing'])} did not come within {why['seconds']:g} s, so nothing was joined: all ranks "
        "of the group have to make this call. Look for an error in its own output; if it is only slow, give "
        "it time: timeout=",
        why["missing"],
    )


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
