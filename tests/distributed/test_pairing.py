"""After ranks have missed one another, their next calls are joined with one another again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from neurocensus import Auditor, storage
from neurocensus.distributed import gather, meeting
from neurocensus.distributed.gathering import gather_all

from .parts import activations, census
from .worlds import World

MOVED_ON = "the other ranks had given up an earlier call"


@pytest.fixture(scope="module")
def three() -> Iterator[World]:
    with World(3) as world:
        yield world


def calls(
    numbers: Sequence[int], waits: Sequence[float] = (), timeout: float = 20.0, grace: float = 5.0
) -> Any:
    """For each call: its number where it was joined with that of the same number on all ranks, or the error.

    `waits`: of each rank, before the first call. Also what was warned of.
    """
    found: list[Any] = []
    time.sleep(waits[dist.get_rank()] if waits else 0)
    before, meeting.GRACE = meeting.GRACE, grace
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for number in numbers:
                try:  # an annotation is kept if it is the same on all ranks
                    whole = gather(
                        census({"a": activations(2)}, annotations={"call": number}), timeout=timeout
                    )
                    found.append(whole.annotations.get("call", "another call"))
                except Exception as error:
                    found.append(str(error))
    finally:
        meeting.GRACE = before
    return found, [str(warning.message) for warning in warned]


def given_up(world: World, *, missing: Sequence[int], number: int = 0) -> str:
    """A call that some ranks do not make; what the others are told."""
    there = [rank for rank in range(world.size) if rank not in missing]
    world.start(calls, [number], (), 0.3, ranks=there)
    words = {answer[0][0] for answer in world.answers(there)}
    assert len(words) == 1
    (message,) = words
    assert " did not come within 0.3 s" in message
    return str(message)


@pytest.mark.parametrize("waits", [(0.0, 0.4), (0.4, 0.0)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_rank_that_leaves_calls_out(two: World, waits: Sequence[float], times: int) -> None:
    """Whichever comes first to the next one."""
    for _ in range(times):
        message = given_up(two, missing=[1])
    (first, silent), (second, warned) = two.results(calls, [1, 2, 3], waits)
    assert first == second == [1, 2, 3]
    assert silent == []
    assert [words.startswith(MOVED_ON) for words in warned] == [True]
    assert message in warned[0]


def test_a_rank_that_is_late(two: World) -> None:
    """As the others wait for it elsewhere, nobody is at the next call when it comes."""
    message = given_up(two, missing=[1])
    start = time.monotonic()
    two.start(calls, [0], (), 20.0, 0.3, ranks=[1])
    assert two.answers([1]) == [([message], [])]
    assert 0.3 <= time.monotonic() - start < 5
    assert two.results(calls, [1, 2, 3]) == [([1, 2, 3], [])] * 2


def test_ranks_that_miss_one_another_in_turn(two: World) -> None:
    given_up(two, missing=[1])
    two.start(calls, [0], (), 0.3, 0.1, ranks=[1])  # late
    two.answers([1])
    given_up(two, missing=[0])
    given_up(two, missing=[0])
    (first, warned), (second, silent) = two.results(calls, [1, 2])
    assert first == second == [1, 2]
    assert len(warned) == 1
    assert silent == []


@pytest.mark.parametrize("missing", [[1], [0, 2]])
def test_three_ranks(three: World, missing: Sequence[int]) -> None:
    given_up(three, missing=missing)
    given_up(three, missing=missing)
    answers = three.results(calls, [1, 2, 3], (0.3, 0.0, 0.1))
    assert [found for found, _ in answers] == [[1, 2, 3]] * 3
    assert [rank for rank, (_, warned) in enumerate(answers) if warned] == list(missing)


def test_other_ranks_each_time(three: World) -> None:
    """Rank 2 leaves out the first call, rank 1 the second one too."""
    given_up(three, missing=[1, 2])
    three.start(calls, [1], (), 0.5, ranks=[0, 2])
    for (message,), _ in three.answers([0, 2]):
        assert message.startswith("rank 1 did not come")
    answers = three.results(calls, [2, 3])
    assert [found for found, _ in answers] == [[2, 3]] * 3


def in_no_group() -> None:
    gather(census({}), "x")  # type: ignore[arg-type]


def test_an_error_before_the_meeting(two: World) -> None:
    two.start(in_no_group, ranks=[1])
    assert two.answers([1])[0].kind == "TypeError"
    given_up(two, missing=[1])
    assert [found for found, _ in two.results(calls, [1, 2])] == [[1, 2]] * 2


def with_bad_timeout() -> None:
    gather(census({}), timeout="5" if dist.get_rank() else 20.0)  # type: ignore[arg-type]


def test_an_error_that_all_are_told(two: World) -> None:
    assert [answer.kind for answer in two.run(with_bad_timeout)] == ["TypeError"] * 2
    assert two.results(calls, [1, 2]) == [([1, 2], [])] * 2


def one_or_two(wait: Sequence[float]) -> None:
    time.sleep(wait[dist.get_rank()])
    audits = [census({"a": activations(2)})] * (2 if dist.get_rank() == 1 else 1)
    gather_all(audits, timeout=20.0)


@pytest.mark.parametrize("waits", [(0, 0.2, 0), (0, 0, 0.3), (0.3, 0, 0.1)])
def test_ranks_that_are_in_different_calls(three: World, waits: Sequence[float]) -> None:
    start = time.monotonic()
    answers = three.run(one_or_two, waits)
    assert time.monotonic() - start < 4
    assert {answer.kind for answer in answers} == {"RankError"}
    assert len({answer.message for answer in answers}) == 1
    assert "ranks met in different calls, 'gather of " in answers[0].message
    assert three.results(calls, [1, 2]) == [([1, 2], [])] * 3


def both_modes() -> list[bytes]:
    rank = dist.get_rank()
    audits = [census({"a": activations(4, seed=seed)[rank * 2 :][:2]}) for seed in (0, 1)]
    together = gather_all(audits)
    assert [storage.dump(whole) for whole in together] == [storage.dump(gather(audit)) for audit in audits]
    assert gather_all([]) == []
    return [storage.dump(whole) for whole in together]


def test_several_audits_in_one_meeting(two: World) -> None:
    first, second = two.results(both_modes)
    assert first == second
    assert first[0] != first[1]


def keys() -> int:
    return int(dist.distributed_c10d._get_default_store().num_keys())


def test_meetings_that_were_given_up_leave_nothing_in_the_store(two: World) -> None:
    two.results(calls, [1, 2])
    before = max(two.results(keys))
    for missing in ([1], [0], [1]):
        given_up(two, missing=missing)
    two.results(calls, [1, 2])
    assert max(two.results(keys)) <= before + 2


def warned_as_an_error() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning if dist.get_rank() == 1 else DeprecationWarning)
        try:
            gather(census({"a": activations(2)}), timeout=20.0)
        except RuntimeWarning:
            gather(census({"a": activations(2)}), timeout=20.0)
            return True
    return False


def test_the_warning_comes_before_the_meeting(two: World) -> None:
    """Where it is an error, others are not left in the middle of a collective."""
    given_up(two, missing=[1])
    assert two.results(warned_as_an_error) == [False, True]


# Through an auditor.


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU())


def batch(step: int, rank: int) -> torch.Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(10 * step + rank))


def trained_with_one_sync_missed() -> list[Any]:
    """After each sync: examples counted in all, or the error."""
    rank, network, found = dist.get_rank(), model(), list[Any]()
    with Auditor(network, every_n_steps=1) as auditor, warnings.catch_warnings():
        warnings.filterwarnings("ignore", MOVED_ON)
        for step in range(4):
            network(batch(step, rank))
            auditor.step()
            if step == 1 and rank == 1:
                dist.barrier()
                continue
            try:
                auditor.sync(timeout=0.3 if step == 1 else 20.0)
                found.append(auditor.compute("train").examples)
            except RuntimeError as error:
                found.append(type(error).__name__)
            if step == 1:
                dist.barrier()
        found.append(storage.dump(auditor.compute("train")))
    return found


def test_a_sync_that_one_rank_leaves_out(two: World, tmp_path: Any) -> None:
    (*first, mine), (*second, other) = two.results(trained_with_one_sync_missed)
    assert first == [6, "RankError", 18, 24]
    assert second == [6, 18, 24]
    assert mine == other


def resumed(path: str) -> None:
    network = model().eval()
    with Auditor(network) as auditor:
        auditor.resume(storage.load(path))
        network(batch(0, dist.get_rank()))
        auditor.sync()


def test_all_ranks_go_on_from_one_file(two: World, tmp_path: Any) -> None:
    network = model().eval()
    with Auditor(network) as auditor:
        network(batch(9, 0))
    auditor.compute().save(tmp_path / "before.safetensors")
    for answer in two.run(resumed, str(tmp_path / "before.safetensors")):
        assert answer.kind == "ValueError"
        assert "expected every shard once, got the same one in the audits of ranks 0 and 1" in answer.message
