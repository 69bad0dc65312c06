"""Random states are seeded per epoch, and come back through JSON."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocensus.preserve import random_states
from neurocensus.training import randomness

CPU = torch.device("cpu")


def draw() -> tuple[Any, ...]:
    normal = torch.randn(3).tolist()  # an odd number of normals leaves one in the generator
    return (*normal, torch.rand(1).item(), np.random.normal(), random.gauss(0, 1), random.random())  # noqa: NPY002


@given(seed=st.integers(0, 2**64), epoch=st.integers(1, 10**6), before=st.integers(0, 3))
def test_states_come_back(seed: int, epoch: int, before: int) -> None:
    with random_states():
        randomness.seed_epoch(seed, epoch)
        for _ in range(before):
            draw()
        tensors, values = randomness.states(CPU)
        values = json.loads(json.dumps(values))
        wanted = draw(), draw()
        randomness.restore(tensors, values, CPU)
        assert (draw(), draw()) == wanted


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 10**6)), min_size=2, max_size=2, unique=True))
def test_an_epoch_is_known_by_its_seed_and_number(pairs: list[tuple[int, int]]) -> None:
    with random_states():
        drawn = []
        for seed, epoch in (*pairs, pairs[0]):
            randomness.seed_epoch(seed, epoch)
            drawn.append(draw())
    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]
