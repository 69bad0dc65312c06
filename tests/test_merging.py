"""Merging audits: no shard twice, whichever way it comes; one by one as many at once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import Audit, merge
from neurocensus.merging import Merger, join, shards
from neurocensus.state import UnitState

from .audit_samples import audit_of, layer_audit
from .parity.budget import EXACT

# Shards by their number: different data, of different sizes.
LAYERS = {"a": 3, "b": 2}


def shard(number: int) -> Audit:
    random = np.random.default_rng(number)
    arrays = {name: random.normal(number, 1, (1 + number % 3, units)) for name, units in LAYERS.items()}
    return audit_of(arrays, histogram=True)


def assert_alike(a: Audit, b: Audit) -> None:
    """The same content: moments to rounding, all else exactly."""
    assert (a.model, a.examples, a.batches, a.expected) == (b.model, b.examples, b.batches, b.expected)
    assert a.annotations == b.annotations
    assert list(a.layers) == list(b.layers)
    for name, layer in a.layers.items():
        other = b.layers[name]
        assert (layer.calls, layer.dtype) == (other.calls, other.dtype)
        for field in EXACT:
            np.testing.assert_array_equal(getattr(layer.state, field), getattr(other.state, field), field)
        np.testing.assert_array_equal(layer.state.histogram, other.state.histogram)
        for field in ("mean", "m2", "mean_abs"):
            mine, its = getattr(layer.state, field), getattr(other.state, field)
            np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12, err_msg=field)


# A tree of merges over some shards: each node merges its children in order.
TREES = st.recursive(st.integers(0, 9), lambda nodes: st.lists(nodes, min_size=2, max_size=4), max_leaves=8)


def leaves(tree: Any) -> list[int]:
    return [tree] if isinstance(tree, int) else [leaf for node in tree for leaf in leaves(node)]


def merged(tree: Any) -> Audit:
    return shard(tree) if isinstance(tree, int) else merge(*map(merged, tree))


@given(TREES)
def test_a_shard_is_refused_exactly_where_it_comes_twice(tree: Any) -> None:
    numbers = leaves(tree)
    if len(set(numbers)) < len(numbers):
        with pytest.raises(ValueError, match="expected every shard once"):
            merged(tree)
        return
    found = merged(tree)
    assert shards(found) == tuple(digest for number in numbers for digest in shards(shard(number)))
    if len(numbers) > 1:
        assert found.parts == shards(found)
        assert_alike(found, merge(*map(shard, numbers)))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6))
def test_one_by_one_is_all_at_once(numbers: list[int]) -> None:
    merger = Merger(allow_repeated=True)
    for index, number in enumerate(numbers):
        merger.add({f"shard {index}": shard(number)})
    found, wanted = merger.audit(), merge(*map(shard, numbers), allow_repeated=True)
    assert_alike(found, wanted)
    assert found.parts == wanted.parts
    assert len(wanted.parts) == len(numbers)


def test_a_shard_is_known_by_what_was_counted() -> None:
    one = shard(1)
    noted = Audit(
        one.layers, model=one.model, examples=one.examples, batches=one.batches,
        annotations={"accuracy": 1.0}, versions={"neurocensus": "9"}, expected=["a"],
    )  # fmt: skip
    for again in (one, Audit.from_bytes(one.to_bytes()), noted):
        assert shards(again) == shards(one)
        with pytest.raises(
            ValueError, match=r"got the same one in audit 1 and in audit 3 \(SHA-256 [0-9a-f]{12}"
        ):
            merge(one, shard(2), again)
    assert len({shards(shard(number)) for number in range(10)}) == 10


@pytest.mark.parametrize(
    "change", [{"dtype": "float16"}, {"training": True}, {"masked": True}, {"calls": 2}, {"name": "z"}]
)
def test_what_was_counted_otherwise_is_another_shard(change: dict[str, Any]) -> None:
    def one(name: str = "x", **changes: Any) -> Audit:
        layer = layer_audit(name, UnitState(1).update(np.ones((1, 1))), **changes)
        return Audit({name: layer}, model="m", examples=1, batches=1)

    assert merge(one(), one(**change)).examples == 2


def test_errors_name_both_and_the_way_out() -> None:
    merger = Merger()
    merger.add({"monday": merge(shard(1), shard(2))})
    with pytest.raises(ValueError, match=r"the same one in monday and in tuesday.*allow_repeated=True"):
        merger.add({"tuesday": merge(shard(3), shard(2))})
    merger = Merger()
    merger.add({"monday": shard(1)})
    with pytest.raises(ValueError, match="expected every shard once, got monday twice"):
        merger.add({"monday": shard(1)})
    with pytest.raises(ValueError, match="expected at least one audit, got none"):
        Merger().audit()


def test_repeats_count_again_where_that_is_asked_for() -> None:
    twice = merge(shard(1), shard(1), allow_repeated=True)
    assert twice.examples == 2 * shard(1).examples
    assert twice.parts == 2 * shards(shard(1))
    assert merge(twice, shard(2)).examples == twice.examples + shard(2).examples  # its own parts may repeat
    with pytest.raises(ValueError, match="expected every shard once"):
        merge(twice, shard(1))


def test_parts_of_one_count_are_one_shard() -> None:
    found = join(shard(1), shard(1), shard(2))
    assert found.parts == ()
    assert len(shards(found)) == 1
    assert_alike(found, merge(shard(1), shard(1), shard(2), allow_repeated=True))


def test_audits_that_saw_nothing_are_no_shards() -> None:
    """A worker without data gives one; any number of them may come."""
    layer = layer_audit("a", UnitState(3, histogram=True), dtype="float32", calls=0)
    nothing = Audit({"a": layer}, model="Net", examples=0, batches=0)
    assert shards(nothing) == ()
    found = merge(nothing, shard(1), nothing)
    assert found.parts == shards(shard(1))
    assert_alike(found, merge(Audit({}, model="Net", examples=0, batches=0), shard(1)))


def test_annotations_that_two_dispute_do_not_come_back_by_a_third() -> None:
    audits = [audit_of({}, annotations={"accuracy": value, "seed": 1}) for value in (0.9, 0.8, 0.8)]
    assert merge(*audits).annotations == {"seed": 1}


def test_every_dtype_is_named_once() -> None:
    def one(dtype: str, value: float) -> Audit:
        layer = layer_audit("x", UnitState(1).update(np.full((1, 1), float(value))), dtype=dtype)
        return Audit({"x": layer}, model="m", examples=1, batches=1)

    found = merge(merge(one("float32", 1), one("bfloat16", 2)), one("float32", 3))
    assert found.layers["x"].dtype == "float32, bfloat16"


def test_parts_are_saved_and_change_nothing_else() -> None:
    """Readers of the format that do not know of parts find all that they knew."""
    found = merge(shard(1), shard(2))
    again = Audit.from_bytes(found.to_bytes())
    assert again.parts == found.parts
    assert b'"parts"' not in shard(1).to_bytes().replace(b"\\", b"")
    assert json.loads(json.dumps(again.to_dict())) == json.loads(json.dumps(found.to_dict()))
