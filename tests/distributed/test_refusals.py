"""What does not go together is refused, on every rank with the same words, and nothing is spoiled by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist

from neurocensus import _version, storage
from neurocensus.distributed import facts, gather
from neurocensus.result import Audit
from neurocensus.state import UnitState

from ..audit_samples import layer_audit
from .parts import activations
from .worlds import World


def an_audit(name: str = "relu", *, units: int = 3, histogram: bool = False, **changes: Any) -> Audit:
    threshold, layer = changes.pop("threshold", 0.0), changes.pop("layer", {})
    state = UnitState(units, threshold=threshold, histogram=histogram).update(activations(4, units))
    fields = {"model": "Net", "examples": 4, "batches": 1, "threshold": threshold, **changes}
    return Audit({name: layer_audit(name, state, **layer)}, **fields)


def another(what: str) -> tuple[Any, dict[str, Any]]:
    """An audit and options with which the usual ones do not go together."""
    return {
        "model": (an_audit(model="Web"), {}),
        "threshold": (an_audit(threshold=0.25), {}),
        "units": (an_audit(units=2), {}),
        "axis": (an_audit(layer={"unit_axis": 2}), {}),
        "kind": (an_audit(layer={"kind": "GELU"}), {}),
        "histogram": (an_audit(histogram=True), {}),
        "order": (an_audit(), {"order": "interleaved"}),
        "start": (an_audit(), {"start": 3}),
        "nonsense": (an_audit(), {"order": "shuffled"}),
        "type": ({"relu": 1}, {}),
        "negative": (an_audit(), {"start": -1}),
        "boolean": (an_audit(), {"start": True}),
        "both": (an_audit(), {"start": 1, "order": "interleaved"}),
        "timeout": (an_audit(), {"timeout": 0}),
        "forever": (an_audit(), {"timeout": float("inf")}),
        "text": (an_audit(), {"timeout": "5"}),
    }[what]


def given(what: str, by: int) -> None:
    audit, options = another(what) if dist.get_rank() == by else (an_audit(), {})
    gather(audit, **options)


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("model", "ValueError", "expected one model, got 'Net' on rank 0, 'Web' on rank 1"),
        ("threshold", "ValueError", "expected one threshold, got 0.0 on rank 0, 0.25 on rank 1"),
        ("units", "ValueError", "one number of units of layer 'relu', got 3 on rank 0, 2 on rank 1"),
        ("axis", "ValueError", "one unit axis of layer 'relu', got 1 on rank 0, 2 on rank 1"),
        ("kind", "ValueError", "one kind of layer 'relu', got 'ReLU' on rank 0, 'GELU' on rank 1"),
        ("histogram", "ValueError", "one histogram of layer 'relu', got 'off' on rank 0, 'on' on rank 1"),
        ("order", "ValueError", "one order, got 'consecutive' on rank 0, 'interleaved' on rank 1"),
        ("start", "ValueError", "a start on all ranks or on none, got 'none' on rank 0, 'one' on rank 1"),
        ("nonsense", "ValueError", "rank 1: order: expected 'consecutive' or 'interleaved', got 'shuffled'"),
        ("type", "TypeError", "rank 1: audit: expected an Audit, got dict"),
        ("negative", "ValueError", "rank 1: start: expected at least 0, got -1"),
        ("boolean", "TypeError", "rank 1: start: expected an integer, got bool"),
        ("both", "ValueError", "rank 1: start: expected none with order='interleaved', got 1"),
        ("timeout", "ValueError", "rank 1: timeout: expected a finite number of seconds above 0, got 0"),
        ("forever", "ValueError", "rank 1: timeout: expected a finite number of seconds above 0, got inf"),
        ("text", "TypeError", "rank 1: timeout: expected a number of seconds, got str"),
    ],
)
def test_what_one_rank_has_otherwise(two: World, what: str, kind: str, words: str) -> None:
    first, second = two.run(given, what, 1)
    assert words in first.message
    assert (first.kind, first.message) == (kind, second.message)
    assert second.kind == kind
    two.results(given, "model", -1)  # the group is as good as before


def test_many_ranks_are_summed_up(four: World) -> None:
    answers = four.run(given, "threshold", 2)
    assert len({answer.message for answer in answers}) == 1
    assert "0.0 on ranks 0, 1 and 3, 0.25 on rank 2" in answers[0].message


def with_format(by: int) -> None:
    layout = facts.LAYOUT
    if dist.get_rank() == by:
        facts.LAYOUT, facts.__version__ = 99, "99.1"  # type: ignore[misc,attr-defined]
    try:
        gather(an_audit())
    finally:
        facts.LAYOUT, facts.__version__ = layout, _version.__version__  # type: ignore[misc,attr-defined]


def test_another_format(two: World) -> None:
    first, second = two.run(with_format, 1)
    assert first.message == second.message
    assert "99.1 (formats 99 and 1)' on rank 1; install the same one everywhere" in first.message


def spoiled() -> bool:
    audit = an_audit(units=2 + dist.get_rank())
    before = storage.dump(audit)
    with pytest.raises(ValueError, match="number of units"):
        gather(audit)
    return storage.dump(audit) == before


def test_the_own_audit_stays(two: World) -> None:
    assert two.results(spoiled) == [True, True]


def wrong_group(what: str) -> None:
    gather(an_audit(), {"mesh": "dp", "none": dist.GroupMember.NON_GROUP_MEMBER}[what])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("mesh", "TypeError", "group: expected a torch.distributed.ProcessGroup or None, got str"),
        ("none", "ValueError", "group: expected one that this process is in, got one without rank"),
    ],
)
def test_no_group(two: World, what: str, kind: str, words: str) -> None:
    for answer in two.run(wrong_group, what):
        assert answer.kind == kind
        assert words in answer.message


def test_no_process_group() -> None:
    assert not dist.is_initialized()
    with pytest.raises(
        RuntimeError, match=r"expected an initialized process group, got none; call .*torchrun"
    ):
        gather(an_audit())


def test_no_torch_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"no torch\.distributed; join saved audits by merge"):
        gather(an_audit())


@pytest.mark.parametrize("error", [TypeError("a: é\ud800"), ValueError("b")])
def test_problems_travel_as_they_are(error: Exception) -> None:
    message: Callable[..., str] = facts.encode
    with pytest.raises(type(error)) as raised:
        facts.decode([message(error)], [5])
    assert str(raised.value) == f"rank 5: {error}"


def test_names_travel_as_they_are() -> None:
    from ..audit_samples import NASTY_NAMES

    audit = Audit(
        {name: layer_audit(name, UnitState(1)) for name in NASTY_NAMES},
        model="é\ud800", examples=1, batches=1, annotations={"ä\udcff": 0.1 + 0.2, "n": 2**60, "b": True},
    )  # fmt: skip
    mine = facts.Facts.of(audit, "consecutive", None)
    ((same,),) = facts.decode([facts.encode([mine])], [0])
    assert same == mine
    assert [layer.name for layer in same.layers] == list(NASTY_NAMES)
    assert np.float64(same.annotations["ä\udcff"]) == 0.1 + 0.2


def test_a_shard_that_several_ranks_hold() -> None:
    shards = [["a" * 64], ["b" * 64, "c" * 64], [], ["c" * 64]]
    messages = [
        facts.encode([facts.Facts.of(an_audit(parts=parts), "consecutive", None)]) for parts in shards
    ]
    assert facts.decode(messages[:3], [0, 1, 2])[0][1].parts == shards[1]
    with pytest.raises(
        ValueError, match=r"same one in the audits of ranks 1 and 7 \(SHA-256 cccccccccccc\.\.\.\)"
    ):
        facts.decode(messages, [0, 1, 2, 7])
