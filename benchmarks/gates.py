"""The targets, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """A target for one number: at least so much, or at most."""

    what: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def met(self, value: float) -> bool:
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


_READ = "speed of a plain read of the same buffer"
GATES: Mapping[str, Gate] = {
    "rows": Gate(f"rows: share of the {_READ}", at_least=0.8),
    "columns": Gate(f"columns: share of the {_READ}", at_least=0.6),
    "channels_last": Gate(f"channels_last: share of the {_READ}", at_least=0.6),
    "rows with histogram": Gate(f"rows, with the histogram: share of the {_READ}", at_least=0.2),
    "columns with histogram": Gate(f"columns, with the histogram: share of the {_READ}", at_least=0.2),
    "channels_last with histogram": Gate(
        f"channels_last, with the histogram: share of the {_READ}", at_least=0.2
    ),
    "torch": Gate("times faster than the same statistics by torch calls", at_least=10),
    "published": Gate("times faster than the published procedure, 1000x9217 values", at_least=300),
    "audit, NCHW": Gate("audit of VGG-16 at 150x150: times the plain forward", at_most=1.05),
    "audit, channels_last": Gate(
        "audit of VGG-16 at 150x150, channels_last: times the plain forward", at_most=1.05
    ),
    "memory growth": Gate("growth of peak memory from 64 examples, in largest activations", at_most=1),
    "memory over forward": Gate(
        "peak memory of an audit above that of the plain forward, in states and largest activations",
        at_most=1,
    ),
    "training, off": Gate("training: steps left alone, times the loop without an auditor", at_most=1.005),
    "training, every 50 steps": Gate("training: every 50 steps, times the loop without", at_most=1.01),
    "training, every step": Gate("training: every step, times the loop without", at_most=1.1),
    "sweeps": Gate("a sweep of 50 networks: times faster than one by one", at_least=25),
    "merge": Gate("merging 64 shards that hold 9,217,000 unit states together: seconds", at_most=2),
    "merge, full states": Gate("merging 64 states of 9,217,000 units each: seconds", at_most=2),
    "merge, share of a read": Gate(f"merging states: share of the {_READ}", at_least=0.4),
}
