"""docs/transformers.md is true: its Python runs from top to bottom, and gives what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ..capture.models import assert_is
from .models import census_of, watched

GUIDE = (Path(__file__).parents[2] / "docs" / "transformers.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, found)
    return found


def test_neurons_products_and_heads(names: dict[str, Any]) -> None:
    neurons = names["neurons"]
    tokens = 16 + 9 + 12 + 3 + 5 + 16 + 16 + 7
    assert (neurons.units, neurons.examples, neurons.values) == (128, 8, 128 * tokens)
    assert neurons.masked
    products = names["products"].layers
    assert [*products] == [f"model.layers.{n}.mlp.mul" for n in range(2)]
    assert {(layer.units, layer.masked) for layer in products.values()} == {(96, True)}
    assert len(names["heads"].layers) == 2
    assert {(layer.units, layer.masked) for layer in names["heads"].layers.values()} == {(4, True)}


def test_experts_one_by_one_are_those_of_the_model(names: dict[str, Any]) -> None:
    """The same logits as before; each expert's neurons on its own tokens; none was called never."""
    mixtral, full, audit = names["mixtral"], names["full"], names["experts"]
    with torch.no_grad():
        ours = mixtral(**full[0]).logits
        mixtral.set_experts_implementation("eager")
        torch.testing.assert_close(ours, mixtral(**full[0]).logits)
        mixtral.set_experts_implementation("one_by_one")
    paths = [f"model.layers.{n}.mlp.experts.neurons.{k}" for n in range(2) for k in range(8)]
    assert [*audit.layers] == paths
    assert audit.never_fired == ()
    with torch.no_grad(), watched({path: mixtral.get_submodule(path) for path in paths}) as seen:
        for batch in full:
            mixtral(**batch)
    for path, outputs in seen.items():
        assert_is(audit.layers[path], census_of([torch.cat(outputs)], 1))
    for layer in range(2):
        on = [audit.layers[path].examples for path in paths[8 * layer : 8 * layer + 8]]
        assert sum(on) == 2 * 8 * 16  # two experts for each token
        assert len({*on}) > 1


def test_an_expert_without_tokens_is_unseen(names: dict[str, Any]) -> None:
    import neurocensus as nc

    one_token = [{"input_ids": torch.tensor([[7]])}]
    layers = re.compile(r"layers\.0\.mlp\.experts\.neurons\.\d+$")
    audit = nc.audit(names["mixtral"], one_token, layers=layers, progress=False)
    seen = [layer.unseen == 0 for layer in audit.layers.values()]
    assert sum(seen) == 2  # of eight: as many as a token has
    assert all(layer.dead == 0 for layer in audit.layers.values() if layer.unseen)
    assert audit.unseen == 6 * 48


def test_the_auto_encoder(names: dict[str, Any]) -> None:
    features, sae = names["features"], names["sae"]
    assert features.units == 131_072
    with torch.no_grad():
        stream = torch.cat(list(names["tokens"]()))
        fired = sae.relu(sae.encoder(stream))
    assert features.examples == len(stream) == 84
    assert features.dead == int((fired == 0).all(0).sum())
    torch.testing.assert_close(
        torch.from_numpy(names["density"]), (fired > 0).double().mean(0), check_dtype=False
    )
