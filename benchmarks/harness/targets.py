"""The targets, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What is asked of one number: at least so much, or at most."""

    what: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what}: expected either at_least or at_most, got both or neither")

    @property
    def asked(self) -> str:
        """For people: "at least 0.8"."""
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def met(self, value: float) -> bool:
        """Is it? NaN meets nothing."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


_READ = "speed of a plain read of the same buffer"
TARGETS: Mapping[str, Target] = {
    "rows": Target(f"rows: share of the {_READ}", at_least=0.8),
    "columns": Target(f"columns: share of the {_READ}", at_least=0.6),
    "channels_last": Target(f"channels_last: share of the {_READ}", at_least=0.6),
    "rows with histogram": Target(f"rows, with the histogram: share of the {_READ}", at_least=0.35),
    "columns with histogram": Target(f"columns, with the histogram: share of the {_READ}", at_least=0.35),
    "channels_last with histogram": Target(
        f"channels_last, with the histogram: share of the {_READ}", at_least=0.35
    ),
    "torch": Target("times faster than the same statistics by torch calls", at_least=10),
    "published": Target("times faster than the published procedure, 1000x9217 values", at_least=300),
    "audit, NCHW": Target("audit of VGG-16 at 150x150: times the plain forward", at_most=1.05),
    "audit, channels_last": Target(
        "audit of VGG-16 at 150x150, channels_last: times the plain forward", at_most=1.05
    ),
    "call overhead per layer": Target("an audited layer of few values: microseconds more", at_most=15),
    "memory growth": Target("growth of peak memory from 64 examples, in largest activations", at_most=1),
    "memory over forward": Target(
        "peak memory of an audit above that of the plain forward, in states and largest activations",
        at_most=1,
    ),
    "training, off": Target("training: steps left alone, times the loop without an auditor", at_most=1.005),
    "training, every 50 steps": Target("training: every 50 steps, times the loop without", at_most=1.01),
    "training, every step": Target("training: every step, times the loop without", at_most=1.1),
    "sweeps": Target("a sweep of 50 networks: times faster than one by one", at_least=25),
    "merge": Target("merging 64 shards that hold 9,217,000 unit states together: seconds", at_most=2),
    "merge, full states": Target("merging 64 states of 9,217,000 units each: seconds", at_most=2),
    "merge, share of a read": Target(f"merging states: share of the {_READ}", at_least=0.4),
}
