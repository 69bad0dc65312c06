"""Audits of one model as one: what may be joined, and what comes of it.

States are merged in the compiled core, many at a time, each read once. A *shard* is an audit that no merge
made. The digests of all shards are kept, so that none is counted twice, whichever way it comes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .layer import LayerAudit
from .state import UnitState

if TYPE_CHECKING:
    from .result import Annotation, Audit


class Merger:
    """Joins audits as they come, one by one or many at once, and keeps none of them.

    After an error a part of what was to be added is in: begin anew.

    Args:
        allow_repeated: count shards again that are in there already.
        track: note the shards. False for the parts of one count, which are one shard together.
    """

    def __init__(self, *, allow_repeated: bool = False, track: bool = True) -> None:
        self._allow_repeated, self._track = allow_repeated, track
        self._first: _Rules | None = None
        self._sources: dict[str, str] = {}  # the audit that brought each shard, by the shard's digest
        self._parts: list[str] = []
        self._layers: dict[str, _Layer] = {}
        self._examples = self._batches = self._next_example = 0
        self._never_fired: list[tuple[int, Sequence[str]]] = []  # of each audit, with its batches
        self._annotations: dict[str, Annotation] = {}
        self._disputed: set[str] = set()

    def add(self, audits: Mapping[str, Audit]) -> None:
        """Add audits in order, each under the name that errors have for it.

        Raises:
            TypeError: something is not an `Audit`.
            ValueError: an audit of another model, or counted by other rules, or with a shard that is in there
                already; the message names both audits.
        """
        from .result import Audit

        for name, audit in audits.items():
            if not isinstance(audit, Audit):
                raise TypeError(f"merge: expected audits, got {type(audit).__name__} as {name}")
            self._first = self._first or _Rules(name, audit.model, audit.threshold)
            self._first.check(name, audit)
            if self._track:
                self._note_shards(name, audit)
            else:
                self._parts += [digest for digest in audit.parts if digest not in self._parts]
            self._take(name, audit)
        for layer in self._layers.values():
            layer.merge()

    def audit(self) -> Audit:
        """All that was added, as one audit. It takes the states over: add nothing more.

        Raises:
            ValueError: nothing was added.
        """
        from .result import Audit

        if self._first is None:
            raise ValueError("merge: expected at least one audit, got none")
        missing = [name for name in missing_in_all(self._never_fired) if name not in self._layers]
        return Audit(
            {name: layer.total for name, layer in self._layers.items()},
            model=self._first.model,
            examples=self._examples,
            batches=self._batches,
            expected=[*self._layers, *missing],
            never_fired=missing,
            threshold=self._first.threshold,
            annotations={key: note for key, note in self._annotations.items() if key not in self._disputed},
            parts=self._parts,
        )

    def _note_shards(self, name: str, audit: Audit) -> None:
        digests = shards(audit)
        known = next((digest for digest in digests if digest in self._sources), None)
        if known is not None and not self._allow_repeated:
            source = self._sources[known]
            both = f"{name} twice" if source == name else f"the same one in {source} and in {name}"
            raise ValueError(
                f"merge: expected every shard once, got {both} (SHA-256 {known[:12]}...): its examples "
                "would count twice. Leave one out; or, if other data gave the very same numbers, pass "
                "allow_repeated=True (--allow-repeated)"
            )
        self._sources.update((digest, name) for digest in digests if digest not in self._sources)
        self._parts += digests

    def _take(self, name: str, audit: Audit) -> None:
        first_example = max(self._examples, self._next_example)
        for layer in audit.layers.values():
            if layer.name not in self._layers:
                self._layers[layer.name] = _Layer.like(layer, name)
            self._layers[layer.name].take(layer, name, first_example)
            self._next_example = max(self._next_example, first_example + layer.state.next_example)
        self._examples += audit.examples
        self._batches += audit.batches
        self._never_fired.append((audit.batches, audit.never_fired))
        for key, note in audit.annotations.items():
            if self._annotations.setdefault(key, note) != note:
                self._disputed.add(key)


def join(*audits: Audit) -> Audit:
    """The parts of one count as one audit, and one shard: equal ones are welcome.

    Shards that the parts have noted (`Audit.parts`) are kept, each once.

    Raises:
        TypeError, ValueError: as `Merger.add`.
    """
    merger = Merger(track=False)
    merger.add({f"audit {index}": audit for index, audit in enumerate(audits, start=1)})
    return merger.audit()


def missing_in_all(parts: Iterable[tuple[int, Sequence[str]]]) -> list[str]:
    """Points that never fired in the whole: those that did not in any part.

    What a part does not miss has fired there, or was found to be no point: a layer before an activation.

    Args:
        parts: of each, how many batches it saw and its `Audit.never_fired`. What saw none tells nothing.
    """
    parts = list(parts)
    told = [names for batches, names in parts if batches] or [names for _, names in parts]
    return [name for name in told[0] if all(name in names for names in told[1:])] if told else []


def shards(audit: Audit) -> tuple[str, ...]:
    """Digests of the shards that an audit holds: those merged into it, or its own; none if it saw nothing."""
    if audit.parts:
        return audit.parts
    if not audit.values:
        return ()
    counted = {
        "model": audit.model,
        "examples": audit.examples,
        "batches": audit.batches,
        "layers": [
            (layer.name, layer.dtype, layer.training, layer.masked, layer.calls, layer.state.digest())
            for layer in audit.layers.values()
        ],
    }
    return (hashlib.sha256(json.dumps(counted).encode()).hexdigest(),)


@dataclass(frozen=True)
class _Rules:
    """What all audits must share, and the one that it was learnt from."""

    source: str
    model: str
    threshold: float

    def check(self, name: str, audit: Audit) -> None:
        if audit.model != self.model:
            raise ValueError(
                f"merge: expected audits of one model, got {self.model!r} in {self.source} and "
                f"{audit.model!r} in {name}; compare() them"
            )
        if audit.threshold != self.threshold:
            raise ValueError(
                f"merge: expected one threshold, got {self.threshold} in {self.source} and "
                f"{audit.threshold} in {name}; repeat one of the audits"
            )


@dataclass
class _Layer:
    """One layer of the whole, and the states that are still to be merged into it."""

    source: str  # the first audit that has it
    total: LayerAudit
    coming: list[tuple[UnitState, int]] = field(default_factory=list)

    @classmethod
    def like(cls, layer: LayerAudit, source: str) -> _Layer:
        state = layer.state
        empty = UnitState(state.units, threshold=state.threshold, histogram=state.has_histogram)
        return cls(source, replace(layer, state=empty, calls=0))

    def take(self, layer: LayerAudit, name: str, first_example: int) -> None:
        total = self.total
        for what, ours, theirs in (
            ("kind", total.kind, layer.kind),
            ("units", total.units, layer.units),
            ("unit_axis", total.unit_axis, layer.unit_axis),
            ("histogram", total.state.has_histogram, layer.state.has_histogram),
        ):
            if ours != theirs:
                raise ValueError(
                    f"merge: layer {layer.name!r}: expected the same {what} in all audits, got {ours} in "
                    f"{self.source} and {theirs} in {name}; repeat one of them with the settings of the other"
                )
        self.coming.append((layer.state, first_example))
        self.total = replace(
            total,
            dtype=", ".join(dict.fromkeys([*total.dtype.split(", "), *layer.dtype.split(", ")])),
            training=total.training or layer.training,
            masked=total.masked or layer.masked,
            calls=total.calls + layer.calls,
        )

    def merge(self) -> None:
        states, first_examples = [state for state, _ in self.coming], [first for _, first in self.coming]
        self.total.state.merge(*states, first_examples=first_examples)
        self.coming.clear()
