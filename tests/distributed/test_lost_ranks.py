"""Ranks that never come, end, hang or fail: the others get an error with their numbers, in time."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import torch.distributed as dist

from neurocensus import storage
from neurocensus.distributed import exchange, gather, meeting
from neurocensus.distributed.group import RankError

from .parts import activations, assert_whole, census
from .test_gathering import loaded
from .worlds import Gone, World

LAST = 16  # of the collectives, from 0


def timed(timeout: float = 30.0) -> tuple[float, str, tuple[int, ...]]:
    """How long it took to raise, what, and whose numbers."""
    start = time.monotonic()
    with pytest.raises(RankError) as raised:
        gather(census({"a": activations(4)}), timeout=timeout)
    return time.monotonic() - start, str(raised.value), raised.value.ranks


def whole(timeout: float = 30.0) -> bytes:
    rank = dist.get_rank()
    return storage.dump(gather(census({"a": activations(4)[rank * 2 : rank * 2 + 2]}), timeout=timeout))


def test_a_rank_that_does_not_call(two: World, tmp_path: Any) -> None:
    two.start(timed, 0.5, ranks=[0])
    ((seconds, message, ranks),) = two.answers([0])
    assert 0.5 <= seconds < 3
    assert ranks == (1,)
    assert message.startswith("rank 1 did not come within 0.5 s")
    assert "timeout=" in message
    # It comes late: it is told the same, and the next call finds both.
    two.start(timed, 1.0, ranks=[1])
    ((seconds, late, ranks),) = two.answers([1])
    assert seconds < 3
    assert (late, ranks) == (message, (1,))
    first, second = two.results(whole)
    assert first == second
    assert_whole(loaded(first, tmp_path / "whole.safetensors"), {"a": activations(4)})


def end(how: str) -> None:
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_rank_that_ended_before(how: str) -> None:
    with World(3) as world:
        world.start(end, how, ranks=[1])
        assert isinstance(world.answers([1])[0], Gone)
        world.start(timed, 1.0, ranks=[0, 2])
        for seconds, message, ranks in world.answers([0, 2]):
            assert seconds < 4
            assert ranks == (1,)
            assert message.startswith("rank 1 did not come within 1 s")


def ends_within(how: str, at: int, by: int) -> Any:
    """Ends, hangs or fails before the collective number `at`."""
    meeting.GRACE = 2.0
    count, texts, reduce = 0, exchange.Exchange._all, exchange.Exchange.reduce

    def counted(function: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            nonlocal count
            count += 1
            if count - 1 == at and dist.get_rank() == by:
                if how == "fail":
                    raise MemoryError("of memory\x1b[31m there is none")
                if how == "hang":
                    time.sleep(60)
                end(how)
            return function(self, *args)

        return call

    exchange.Exchange._all, exchange.Exchange.reduce = counted(texts), counted(reduce)  # type: ignore[method-assign]
    if how == "fail" and dist.get_rank() == by:
        gather(census({"a": activations(4)}))
    return timed(2.0 if how == "hang" else 30.0)


@pytest.mark.parametrize(("how", "at"), [("exit", 0), ("kill", 2), ("kill", LAST), ("hang", 5)])
def test_a_rank_that_ends_or_hangs_within(how: str, at: int) -> None:
    with World(4) as world:
        world.start(ends_within, how, at, 2)
        for seconds, message, ranks in world.answers([0, 1, 3]):
            assert seconds < 15
            assert ranks == (2,), message
            assert message.startswith("rank 2 ended, or hangs, while the audits were joined")
            assert "Look for an error in its own output" in message
        world.processes[2].kill()


def test_a_rank_that_fails_within() -> None:
    with World(3) as world:
        failed, *others = world.run(ends_within, "fail", 4, 0)
        assert failed.kind == "MemoryError"
        for seconds, message, ranks in others:
            assert seconds < 10
            assert ranks == (0,)
            assert message.startswith(r"rank 0 failed: MemoryError: of memory\x1b[31m there is none")


@pytest.mark.parametrize("at", [None, 6])
def test_the_rank_that_keeps_the_store(at: int | None) -> None:
    with World(3, by_rank_0=True) as world:
        if at is None:
            world.start(end, "kill", ranks=[0])
            world.answers([0])
            world.start(timed, 5.0, ranks=[1, 2])
        else:
            world.start(ends_within, "kill", at, 0)
        for seconds, message, ranks in world.answers([1, 2]):
            assert seconds < 10
            assert ranks == (0,)
            assert "the process that keeps it (rank 0, unless it was made elsewhere) has ended" in message


def test_an_error_can_be_pickled() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(RankError("rank 3 ended", [3])))
    assert str(error) == "rank 3 ended"
    assert error.ranks == (3,)
