"""What ranks tell one another of their audits, but for what is counted per unit; whether it goes together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeVar

from .. import text
from .._version import __version__
from ..arguments import integer
from ..native import core
from ..result import Annotation, Audit, LayerAudit
from .group import named

Order = Literal["consecutive", "interleaved"]
ORDERS: Final = ("consecutive", "interleaved")
LAYOUT: Final = 2
"""Of what is sent. Ranks with another one are refused, not read."""

T = TypeVar("T")


@dataclass(frozen=True)
class LayerFacts:
    """One layer of one rank; fields as in `LayerAudit` and `UnitState`."""

    name: str
    kind: str
    unit_axis: int
    unit_rule: str
    example_axis: int
    dtype: str
    training: bool
    calls: int
    masked: bool
    units: int
    histogram: bool
    examples: int
    values: int
    next_example: int

    @classmethod
    def of(cls, layer: LayerAudit) -> LayerFacts:
        """Those of a layer."""
        state = layer.state
        return cls(
            layer.name, layer.kind, layer.unit_axis, layer.unit_rule, layer.example_axis, layer.dtype,
            layer.training, layer.calls, layer.masked, state.units, state.has_histogram, state.examples,
            state.values, state.next_example,
        )  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The audit of one rank; fields as in `Audit`."""

    model: str
    threshold: float
    examples: int
    batches: int
    never_fired: Sequence[str]
    parts: Sequence[str]
    versions: Mapping[str, str]
    annotations: Mapping[str, Annotation]
    layers: Sequence[LayerFacts]
    order: Order
    start: int | None

    @classmethod
    def of(cls, audit: Audit, order: Order, start: int | None) -> Facts:
        """Those of an audit, and how its examples are to be numbered.

        Raises:
            TypeError, ValueError: an argument of `gather` that it does not take.
        """
        if not isinstance(audit, Audit):
            raise TypeError(
                f"audit: expected an Audit, got {type(audit).__name__}; give that of Auditor.compute()"
            )
        if order not in ORDERS:
            raise ValueError(f"order: expected 'consecutive' or 'interleaved', got {order!r}")
        if start is not None:
            start = integer("start", start, 0)
            if order != "consecutive":
                raise ValueError(f"start: expected none with order={order!r}, got {start}; give one of both")
        return cls(
            audit.model, audit.threshold, audit.examples, audit.batches, [*audit.never_fired],
            [*audit.parts], dict(audit.versions), dict(audit.annotations),
            [LayerFacts.of(layer) for layer in audit.layers.values()], order, start,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Example indices that the rank has used up."""
        return max([self.examples, *(layer.next_example for layer in self.layers)])


_ERRORS: Final[dict[str, type[Exception]]] = {"TypeError": TypeError, "ValueError": ValueError}


def encode(facts: Sequence[Facts] | Exception) -> str:
    """As JSON: the facts of each audit, or what is wrong with the arguments here, for other ranks to know."""
    if isinstance(facts, Exception):
        kind = "TypeError" if isinstance(facts, TypeError) else "ValueError"
        content: dict[str, Any] = {"problem": [kind, str(facts)]}
    else:
        content = {"facts": [asdict(each) for each in facts]}
    head = {"layout": LAYOUT, "state": core.STATE_FORMAT, "neurocensus": __version__}
    return json.dumps({**head, **content})


def decode(messages: Sequence[str], ranks: Sequence[int]) -> list[list[Facts]]:
    """For each audit the facts of all ranks, which go together.

    Args:
        messages: of each rank, by `encode`; of as many audits on each.
        ranks: their numbers, for people.

    Raises:
        TypeError, ValueError: a rank has arguments that `gather` does not take, or the ranks do not go
            together. The same words on every rank: all of them read the same messages.
    """
    contents: list[dict[str, Any]] = [json.loads(message) for message in messages]
    formats = [(content["layout"], content["state"]) for content in contents]
    if len(set(formats)) > 1:
        versions = [
            f"{content['neurocensus']} (formats {content['layout']} and {content['state']})"
            for content in contents
        ]
        _alike("one version of neurocensus", versions, ranks, "install the same one everywhere")
    problems = [
        (rank, *content["problem"])
        for rank, content in zip(ranks, contents, strict=True)
        if "problem" in content
    ]
    if problems:
        kind = problems[0][1]
        raise _ERRORS[kind]("; ".join(f"rank {rank}: {words}" for rank, _, words in problems))
    audits = zip(*(content["facts"] for content in contents), strict=True)
    everyone = [[_facts(facts) for facts in of_ranks] for of_ranks in audits]
    for of_ranks in everyone:
        _check(of_ranks, ranks)
    return everyone


def _facts(content: dict[str, Any]) -> Facts:
    layers = [LayerFacts(**layer) for layer in content.pop("layers")]
    return Facts(layers=layers, **content)


def _check(everyone: Sequence[Facts], ranks: Sequence[int]) -> None:
    """Raise ValueError unless these are parts of one whole."""
    same, again = "give all ranks the same one", "count with the same settings on all ranks"
    _alike("one model", [facts.model for facts in everyone], ranks, same)
    _alike("one threshold", [facts.threshold for facts in everyone], ranks, again)
    _alike("one order", [facts.order for facts in everyone], ranks, same)
    starts = ["none" if facts.start is None else "one" for facts in everyone]
    _alike("a start on all ranks or on none", starts, ranks, "give it everywhere or nowhere")
    _check_parts(everyone, ranks)
    for name, owners in _by_name(everyone).items():
        whose, parts = [ranks[rank] for rank in owners], owners.values()
        for what, values in (
            ("kind", [part.kind for part in parts]),
            ("number of units", [part.units for part in parts]),
            ("unit axis", [part.unit_axis for part in parts]),
            ("histogram", ["on" if part.histogram else "off" for part in parts]),
        ):
            where = f"one {what} of layer '{text.printable(name)}'"
            _alike(where, values, whose, f"give all ranks one model, and {again}")


def _check_parts(everyone: Sequence[Facts], ranks: Sequence[int]) -> None:
    """Raise ValueError if ranks hold the same shard: all resumed the same file, say.

    Only shards that an audit has noted (`Audit.parts`: those that were merged, or that an auditor went on
    from) are known again. Fresh audits are not compared: small ones may well be equal, those of dead layers
    or of ranks that saw nothing.
    """
    holders: dict[str, int] = {}
    for rank, facts in zip(ranks, everyone, strict=True):
        for digest in facts.parts:
            if digest in holders:
                both = named([holders[digest], rank])
                raise ValueError(
                    f"expected every shard once, got the same one in the audits of {both} (SHA-256 "
                    f"{digest[:12]}...), so that its examples would count twice; leave one out"
                )
            holders[digest] = rank


def _by_name(everyone: Sequence[Facts]) -> dict[str, dict[int, LayerFacts]]:
    """Layers by name, then by rank: those of the first rank in its order, then what others have besides."""
    found: dict[str, dict[int, LayerFacts]] = {}
    for rank, facts in enumerate(everyone):
        for layer in facts.layers:
            found.setdefault(layer.name, {})[rank] = layer
    return found


def _alike(what: str, values: Sequence[Any], ranks: Sequence[int], advice: str) -> None:
    """Raise ValueError, with each value and who has it, unless all values are one."""
    if len(set(values)) <= 1:
        return
    holders: dict[Any, list[int]] = {}
    for value, rank in zip(values, ranks, strict=True):
        holders.setdefault(value, []).append(rank)
    got = ", ".join(f"{value!r} on {named(whose)}" for value, whose in list(holders.items())[:4])
    raise ValueError(f"expected {what}, got {got}{', ...' if len(holders) > 4 else ''}; {advice}")


def layers_of(everyone: Sequence[Facts]) -> list[LayerFacts]:
    """The layers of the whole, with what is counted per layer: the same list on every rank."""
    return [_joined(list(owners.values())) for owners in _by_name(everyone).values()]


def _joined(parts: Sequence[LayerFacts]) -> LayerFacts:
    first = parts[0]
    return LayerFacts(
        first.name, first.kind, first.unit_axis, first.unit_rule, first.example_axis,
        dtype=", ".join(distinct(dtype for part in parts for dtype in part.dtype.split(", "))),
        training=any(part.training for part in parts),
        calls=sum(part.calls for part in parts),
        masked=any(part.masked for part in parts),
        units=first.units,
        histogram=first.histogram,
        examples=sum(part.examples for part in parts),
        values=sum(part.values for part in parts),
        next_example=max(part.next_example for part in parts),
    )  # fmt: skip


def distinct(values: Iterable[T]) -> list[T]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))
