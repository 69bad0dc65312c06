"""`gather` over real process groups: the whole, and the same whole, on every rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist

from neurocensus import storage
from neurocensus.distributed import exchange, gather
from neurocensus.result import Audit, merge

from ..audit_samples import assert_told_alike
from .parts import activations, assert_whole, census, split
from .worlds import World

SIZES = {2: (7, 4), 4: (3, 0, 5, 1)}


@pytest.fixture(params=[2, 4])
def world(request: pytest.FixtureRequest, two: World, four: World) -> World:
    return two if request.param == 2 else four


def whole_of(
    parts: Sequence[dict[str, Any]], options: Sequence[dict[str, Any]], changes: Sequence[dict[str, Any]] = ()
) -> tuple[bytes, bool]:
    """The file of the whole, on this rank; whether the rank's own audit stayed as it was."""
    rank = dist.get_rank()
    mine = census(parts[rank], **(changes[rank] if changes else {}))
    before = storage.dump(mine)
    whole = gather(mine, **options[rank])
    return storage.dump(whole), storage.dump(mine) == before


def loaded(content: bytes, path: Any) -> Audit:
    path.write_bytes(content)
    return storage.load(path)


def by_rank(arrays: dict[str, Any], sizes: Sequence[int], order: str = "consecutive") -> list[dict[str, Any]]:
    pieces = {name: split(array, sizes, order) for name, array in arrays.items()}
    return [{name: parts[rank] for name, parts in pieces.items()} for rank in range(len(sizes))]


@pytest.mark.parametrize("order", ["consecutive", "interleaved", "start"])
def test_all_ranks_get_the_audit_of_a_single_process(world: World, order: str, tmp_path: Any) -> None:
    sizes = SIZES[world.size]
    arrays = {"conv": activations(sum(sizes), seed=1), "head": activations(sum(sizes), 2, 1, seed=2)}
    parts = by_rank(arrays, sizes, order)
    options: list[dict[str, Any]] = [{"order": order} for _ in sizes]
    if order == "start":
        parts, first = by_rank(arrays, sizes), np.cumsum([0, *sizes])
        # As if ranks had counted the parts in another order.
        options = [{"start": int(first[rank])} for rank in range(world.size)]
    answers = world.results(whole_of, parts, options)
    assert len({content for content, _ in answers}) == 1
    assert all(untouched for _, untouched in answers)
    whole = loaded(answers[0][0], tmp_path / "whole.safetensors")
    assert_whole(whole, arrays)
    assert whole.examples == sum(sizes)
    assert whole.batches == world.size


def test_states_are_those_that_merge_gives(four: World, tmp_path: Any) -> None:
    """In counts, extrema and bins to the bit, and in everything that an audit says besides."""
    arrays = {"a": activations(12, seed=3), "b": activations(12, seed=4)}
    parts = by_rank(arrays, (5, 1, 4, 2))
    changes = [
        {"annotations": {"run": 7, "rank": rank}, "versions": {"neurocensus": "1", "torch": str(rank // 2)}}
        for rank in range(4)
    ]
    whole = loaded(four.results(whole_of, parts, [{}] * 4, changes)[0][0], tmp_path / "whole.safetensors")
    merged = merge(*(census(part, **change) for part, change in zip(parts, changes, strict=True)))
    assert_whole(whole, arrays)
    assert_told_alike(whole, merged)
    assert dict(whole.annotations) == {"run": 7}
    assert dict(whole.versions) == {"neurocensus": "1", "torch": "0, 1"}
    for name, layer in whole.layers.items():
        other = merged.layers[name]
        for field in ("nonzero", "active_examples", "max", "min", "argmax", "nan", "inf", "histogram"):
            np.testing.assert_array_equal(getattr(layer.state, field), getattr(other.state, field))


def test_layers_that_only_some_ranks_have(four: World, tmp_path: Any) -> None:
    """Experts that some ranks route to: the identity elsewhere, rank 0's order first."""
    a, b, c = activations(6, seed=5), activations(4, 3, seed=6), activations(2, 2, seed=7)
    parts = [{"a": a[:2]}, {"b": b, "a": a[2:]}, {}, {"c": c}]
    missed = (["c", "d"], ["d", "c"], ["a", "d"], ["d"])
    changes = [{"never_fired": names, "examples": n} for names, n in zip(missed, (2, 4, 1, 2), strict=True)]
    answers = four.results(whole_of, parts, [{"start": 0}, {"start": 2}, {"start": 6}, {"start": 7}], changes)
    whole = loaded(answers[0][0], tmp_path / "whole.safetensors")
    assert list(whole.layers) == ["a", "b", "c"]
    assert whole.never_fired == ("d",)
    assert_whole(whole_without(whole, ("b", "c")), {"a": a})
    assert whole.layers["b"].state.next_example == 2 + 4
    assert whole.layers["b"].argmax.min() >= 2
    assert whole.layers["c"].state.next_example == 7 + 2
    np.testing.assert_array_equal(whole.layers["c"].state.nonzero, census({"c": c}).layers["c"].state.nonzero)


def whole_without(audit: Audit, names: Sequence[str]) -> Audit:
    layers = {name: layer for name, layer in audit.layers.items() if name not in names}
    return Audit(layers, model=audit.model, examples=audit.examples, batches=audit.batches)


def test_ranks_that_all_saw_nothing(two: World, tmp_path: Any) -> None:
    answers = two.results(whole_of, [{}, {}], [{}, {}])
    whole = loaded(answers[1][0], tmp_path / "whole.safetensors")
    assert whole.examples == 0
    assert not whole.layers


def collectives(parts: Sequence[dict[str, Any]]) -> int:
    count, reduce = 0, exchange.Exchange.reduce

    def counted(self: Any, *args: Any) -> Any:
        nonlocal count
        count += 1
        return reduce(self, *args)

    exchange.Exchange.reduce = counted  # type: ignore[method-assign]
    try:
        gather(census(parts[dist.get_rank()]))
    finally:
        exchange.Exchange.reduce = reduce  # type: ignore[method-assign]
    return count


def test_the_number_of_collectives_is_fixed(two: World) -> None:
    few, many = activations(2), {f"layer {n}": activations(2, 3) for n in range(20)}
    counts = [*two.results(collectives, [{"a": few}, {}]), *two.results(collectives, [{}, many])]
    assert len(set(counts)) == 1
    assert counts[0] == 15


def groups() -> Any:
    """Two groups side by side, and what those get who are in neither."""
    odd = dist.new_group([3, 1])
    rank, arrays = dist.get_rank(), {"a": activations(8)}
    mine = census({"a": arrays["a"][rank * 2 : rank * 2 + 2]})
    if rank in (1, 3):
        return storage.dump(gather(mine, odd))
    return gather(mine, odd)


def test_groups_of_some_ranks(four: World, tmp_path: Any) -> None:
    answers = four.run(groups)
    array = activations(8)
    ranks = [1, 3]  # a group's order is that of its ranks
    whole = loaded(answers[1], tmp_path / "whole.safetensors")
    assert answers[1] == answers[3]
    assert_whole(whole, {"a": np.concatenate([array[rank * 2 : rank * 2 + 2] for rank in ranks])})
    for rank in (0, 2):
        assert answers[rank].kind == "ValueError"
        assert answers[rank].message.startswith("group: expected one that this process is in")
        assert f"rank {rank}" in answers[rank].message


def keys(times: int) -> int:
    for _ in range(times):
        gather(census({"a": activations(2)}))
    return dist.distributed_c10d._get_default_store().num_keys()


def test_the_store_does_not_fill_up(two: World) -> None:
    first = two.results(keys, 2)
    assert max(two.results(keys, 20)) <= max(first) + 2
