"""`launched`: the group that the environment of torchrun describes."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
import torch.distributed as dist

from neurocensus.distributed import gather, launched, part
from neurocensus.distributed.launching import _take_device

from .parts import activations, assert_whole, census
from .worlds import World

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_one_process_without_an_environment(environment: pytest.MonkeyPatch) -> None:
    with launched() as (rank, world_size):
        assert (rank, world_size) == (0, 1)
        assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"WORLD_SIZE": "2", "RANK": "0"},
            "WORLD_SIZE=2, but not MASTER_ADDR, MASTER_PORT: start",
        ),
        ({"WORLD_SIZE": "2"}, "but not RANK, MASTER_ADDR, MASTER_PORT"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: expected a number in the environment, got 'two'"),
        (
            {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
            "RANK: expected less than WORLD_SIZE=2, got 2",
        ),
    ],
)
def test_an_environment_that_does_not_do(
    environment: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(ValueError, match=message), launched():
        pass


def test_an_environment_of_one_process_is_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORLD_SIZE", "1")
    with launched() as world:
        assert world == (0, 1)


def as_torchrun(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun puts into the environment; its agent keeps the store."""
    return {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True",
    }  # fmt: skip


def once(variables: dict[str, str]) -> Any:
    os.environ.update(variables)
    with launched(timeout=20) as (mine, world_size):
        share = part(7, mine, world_size)
        whole = gather(census({"a": activations(7)[share.start : share.stop]}), start=share.start)
        with launched() as again:  # the group that is there, and stays
            assert again == (mine, world_size)
        assert dist.is_initialized()
        backend = dist.get_backend()
    assert not dist.is_initialized()
    return mine, world_size, backend, whole


def fail_together() -> None:
    dist.barrier()
    raise KeyError


def failing(variables: dict[str, str]) -> None:
    os.environ.update(variables)
    with pytest.raises(KeyError), launched(timeout=20):
        fail_together()
    assert not dist.is_initialized()


@pytest.mark.parametrize("function", [once, failing])
def test_the_environment_of_torchrun(function: Any) -> None:
    with World(2, grouped=False) as world:
        for rank in range(2):
            world.start(function, as_torchrun(rank, 2, world.store.port), ranks=[rank])
        for rank, found in enumerate(world.answers()):
            assert not hasattr(found, "trace"), found.trace
            if function is once:
                assert found[:3] == (rank, 2, "gloo")
                assert_whole(found[3], {"a": activations(7)})


def test_devices(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(torch.cuda, "device_count", lambda: 2)
    taken: list[int] = []
    environment.setattr(torch.cuda, "set_device", taken.append)
    _take_device(torch.device("cuda"), "1")
    _take_device(torch.device("cuda:0"), "0")
    assert taken == [1, 0]
    with pytest.raises(ValueError, match=r"LOCAL_RANK: expected less than .* \(2\), got 2; start fewer"):
        _take_device(torch.device("cuda"), "2")
    with pytest.raises(ValueError, match=r"device: expected 'cuda', .* got 'cuda:0' in process 1"):
        _take_device(torch.device("cuda:0"), "1")
    assert taken == [1, 0]
