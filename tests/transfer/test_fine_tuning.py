from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurocensus import transfer
from neurocensus.data import Examples
from neurocensus.training import Settings

from .models import Transfer, learning

HEAD = Settings(epochs=2, learning_rate=1e-2, batch_size=4)
BLOCKS = Settings(epochs=1, learning_rate=1e-3, batch_size=4)


def examples(seed: int = 0) -> Examples:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 8, 8, 3), np.uint8)
    return Examples(pixels, np.arange(12) % 2, ("cat", "dog"))


def model(seed: int = 0) -> Transfer:
    torch.manual_seed(seed)
    return Transfer()


def tuned(net: nn.Module, folder: Path, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"head": HEAD, "blocks": BLOCKS, "unfreeze": "block2", "folder": folder}
    return transfer.fine_tune(net, examples(), examples(1), **{**arguments, **changes})


def changed(before: dict[str, torch.Tensor], net: nn.Module) -> set[str]:
    now = net.state_dict()
    return {name.rpartition(".")[0] for name, tensor in before.items() if not torch.equal(tensor, now[name])}


def test_first_the_head_then_the_blocks(tmp_path: Path) -> None:
    net = model()
    states = [transfer.snapshot(net)]

    def look(epoch: int, net: nn.Module) -> dict[str, float]:
        states.append(transfer.snapshot(net))
        return {"trainable": transfer.trainable(net).trainable}

    head, blocks = tuned(net, tmp_path, callbacks=[look])
    assert (len(head), len(blocks)) == (2, 1)
    assert changed(states[0], net) == {"backbone.layers.3", "backbone.layers.5", "head.0", "head.2"}
    heads = {name for name, tensor in states[0].items() if not torch.equal(tensor, states[2][name])}
    assert {name.partition(".")[0] for name in heads} == {"head"}, "neither weights nor norms of the backbone"
    assert head.rows[0]["trainable"] < blocks.rows[0]["trainable"]
    assert learning(net) == {"backbone.layers.3", "backbone.layers.5", "head.0", "head.2"}


def test_called_again_it_is_there(tmp_path: Path) -> None:
    first, again = model(), model(seed=1)
    wanted = tuned(first, tmp_path)
    assert tuned(again, tmp_path) == wanted
    state = first.state_dict()
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_interrupted_in_the_second_phase_it_goes_on_there(tmp_path: Path) -> None:
    whole, parts = model(), model()
    tuned(whole, tmp_path / "whole")
    steps = []

    def stop(epoch: int, step: int, count: int) -> None:
        steps.append(step)
        if len(steps) == 2 * 3 + 2:  # in the first epoch of the blocks
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(parts, tmp_path / "parts", on_step=stop)
    tuned(parts, tmp_path / "parts")
    assert all(torch.equal(tensor, parts.state_dict()[name]) for name, tensor in whole.state_dict().items())


def test_blocks_after_another_head_are_refused(tmp_path: Path) -> None:
    net = model()
    tuned(net, tmp_path)
    longer = Settings(epochs=3, learning_rate=1e-2, batch_size=4)
    with pytest.raises(ValueError, match=r"second phase in .*began with other weights"):
        tuned(net, tmp_path, head=longer)


def test_what_cannot_be_tuned_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError, match=r"model: expected one with a module called backbone, .* got Linear without"
    ):
        tuned(nn.Linear(2, 2), tmp_path)
    with pytest.raises(ValueError, match="block: the model has no block 'block9'"):
        tuned(model(), tmp_path, unfreeze="block9")
    assert not list(tmp_path.iterdir())


def test_blocks_at_no_lower_rate_are_warned_of(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"blocks: expected a learning rate below the head's 0\.01, got 0\.01"
    ):
        tuned(model(), tmp_path, blocks=Settings(epochs=1, learning_rate=1e-2, batch_size=4))
