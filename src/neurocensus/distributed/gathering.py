"""`gather`: one audit out of those of all ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch.distributed as dist

from ..merging import missing_in_all
from ..result import Annotation, Audit, LayerAudit
from ..state import UnitState
from .exchange import Exchange
from .facts import Facts, LayerFacts, decode, distinct, encode, layers_of
from .group import Group, open_group
from .meeting import Meeting
from .numbering import numberings, renumbered
from .reduction import reduce_states

TIMEOUT = 300.0


def gather(
    audit: Audit,
    group: dist.ProcessGroup | None = None,
    *,
    order: Literal["consecutive", "interleaved"] = "consecutive",
    start: int | None = None,
    timeout: float = TIMEOUT,
) -> Audit:
    """The audit of all ranks, on every rank: as if one process had counted all of it.

    All ranks of the group make this call, whatever they have seen; the number of collectives is the same.
    Counts, extrema, argmax and bins are bit for bit those of a single process, moments to rounding; all of it
    is the same bits on every rank. Works over any backend that reduces int64 and float64 (gloo, NCCL).
    Layers that only some ranks have are kept. Annotations on which ranks disagree are dropped.

    Args:
        audit: this rank's own; perhaps without layers, if it saw nothing. It stays as it is.
        group: default: all processes.
        order: how examples are numbered in the whole (`argmax`): "consecutive": those of the first rank, then
            those of the second, ...; "interleaved": dealt in turn, as `torch.utils.data.DistributedSampler`
            does: example i of rank r of W is number ``i * W + r``.
        start: instead: the number of this rank's first example, on each rank its own. 0 on all of them: the
            indices are those of the whole already.
        timeout: seconds to wait for the others: to come, and then for each of the exchanges.

    Returns:
        A new audit; its states are on the host.

    Raises:
        RuntimeError: no `torch.distributed`, or no process group.
        RankError: (a RuntimeError) ranks that do not come, end, hang or fail, by their numbers; or all came,
            but to different calls.
        TypeError, ValueError: on every rank alike: arguments that one of them got wrong; other models,
            thresholds, units, unit axes, histograms or formats. The message names the ranks.
    """
    return gather_all([audit], group, order=order, start=start, timeout=timeout)[0]


def gather_all(
    audits: Sequence[Audit],
    group: dist.ProcessGroup | None = None,
    *,
    order: Literal["consecutive", "interleaved"] = "consecutive",
    start: int | None = None,
    timeout: float = TIMEOUT,
) -> list[Audit]:
    """`gather` of several audits that each rank has, in one meeting: all of them are joined, or none.

    All ranks give as many, in the same order: the first ones are joined, the second ones, and so on.
    """
    here = open_group(group)
    mine: list[Facts] | Exception
    try:
        seconds = _seconds(timeout)
        mine = [Facts.of(audit, order, start) for audit in audits]
    except (TypeError, ValueError) as error:  # the others wait: they have to know
        seconds, mine = TIMEOUT, error
    everyone: list[list[Facts]] | Exception
    with Meeting(here, seconds, f"gather of {len(audits)}") as meeting:
        exchange = Exchange(here, meeting)
        messages = exchange.texts(encode(mine))
        try:
            everyone = decode(messages, here.ranks)
        except (TypeError, ValueError) as error:  # to all alike, so it is no failure of this rank
            everyone = error
        if not isinstance(everyone, Exception):
            found = [_reduced(*each, here, exchange) for each in zip(audits, everyone, strict=True)]
    if isinstance(everyone, Exception):
        raise everyone
    return [_whole(*each) for each in found]


def _reduced(
    audit: Audit, everyone: Sequence[Facts], here: Group, exchange: Exchange
) -> tuple[list[Facts], list[LayerFacts], dict[str, UnitState]]:
    """The facts of all ranks, with examples numbered as in the whole; the whole's layers and states."""
    places = numberings(everyone)
    placed = [renumbered(facts, place) for facts, place in zip(everyone, places, strict=True)]
    layers = layers_of(placed)
    states = reduce_states(
        layers, audit.states, places[here.rank], exchange.reduce, threshold=audit.threshold
    )
    return placed, layers, states


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout: expected a number of seconds, got {type(timeout).__name__}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout: expected a finite number of seconds above 0, got {timeout}")
    return float(timeout)


def _whole(everyone: Sequence[Facts], layers: Sequence[LayerFacts], states: dict[str, UnitState]) -> Audit:
    missing = missing_in_all((facts.batches, facts.never_fired) for facts in everyone)
    first = everyone[0]
    return Audit(
        {
            layer.name: LayerAudit(
                name=layer.name, state=states[layer.name], kind=layer.kind, unit_axis=layer.unit_axis,
                unit_rule=layer.unit_rule, example_axis=layer.example_axis, dtype=layer.dtype,
                training=layer.training, calls=layer.calls, masked=layer.masked,
            )
            for layer in layers
        },
        model=first.model,
        examples=sum(facts.examples for facts in everyone),
        batches=sum(facts.batches for facts in everyone),
        expected=distinct([*(layer.name for layer in layers), *missing]),
        never_fired=[name for name in missing if name not in states],
        threshold=first.threshold,
        versions=_versions(everyone),
        annotations=_annotations(everyone),
        parts=[digest for facts in everyone for digest in facts.parts],
    )  # fmt: skip


def _versions(everyone: Sequence[Facts]) -> dict[str, str]:
    """Of each software, the version; where ranks have several, all of them."""
    names = distinct(name for facts in everyone for name in facts.versions)
    return {
        name: ", ".join(distinct(facts.versions[name] for facts in everyone if name in facts.versions))
        for name in names
    }


def _annotations(everyone: Sequence[Facts]) -> dict[str, Annotation]:
    """Those on which all agree who have them: no accuracy follows from two."""
    kept: dict[str, Annotation] = {}
    for name in distinct(name for facts in everyone for name in facts.annotations):
        values = [facts.annotations[name] for facts in everyone if name in facts.annotations]
        if all(value == values[0] for value in values):
            kept[name] = values[0]
    return kept
