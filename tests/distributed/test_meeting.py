"""Where ranks meet in the store; over a store of this process, with no group behind it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
import torch.distributed as dist

from neurocensus.distributed import meeting
from neurocensus.distributed.group import Group, RankError, named
from neurocensus.distributed.meeting import Meeting


class Handle:
    """All that a meeting needs of a process group."""

    group_name = "0"


def group(store: Any, rank: int, handle: Any = None) -> Group:
    return Group(handle or Handle(), rank, (4, 7), store, torch.device("cpu"))  # type: ignore[arg-type]


@pytest.fixture
def store() -> Any:
    return dist.HashStore()


def come(store: Any, rank: int, handle: Any = None, timeout: float = 0.01) -> str:
    """What becomes of a rank that comes now: "" where the meeting begins."""
    try:
        Meeting(group(store, rank, handle), timeout).__enter__()
    except RankError as error:
        return str(error)
    return ""


def test_groups_of_one_name_do_not_meet(store: Any) -> None:
    """Torchrun's store outlives a group: what was agreed in the first is nothing to the second."""
    first, second = [Handle(), Handle()], [Handle(), Handle()]
    assert come(store, 0, first[0])
    assert come(store, 1, first[1]).startswith("rank 7 did not come")  # as rank 4 was told before
    assert come(store, 1, second[1]).startswith("rank 4 did not come within 0.01 s")
    assert come(store, 0, second[0]).startswith("rank 4 did not come")
    assert come(store, 0, first[0])  # its second meeting


def test_the_first_word_holds(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one comes when another has just given up."""
    monkeypatch.setattr(meeting, "GRACE", 0.1)
    handles = [Handle(), Handle()]
    given_up = come(store, 0, handles[0])
    started = time.monotonic()
    assert come(store, 1, handles[1], timeout=30) == given_up
    assert time.monotonic() - started < 5


def test_names_of_ranks() -> None:
    assert named([3]) == "rank 3"
    assert named([3, 5]) == "ranks 3 and 5"
    assert named([0, 1, 2]) == "ranks 0, 1 and 2"
    assert named(range(512)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 504 more"
    assert named(range(8)) == "ranks 0, 1, 2, 3, 4, 5, 6 and 7"
