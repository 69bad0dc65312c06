"""One benchmark after another: what each finds goes to the record at once, also that it failed."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu.clock import Clock, of
from benchmarks.gpu.record import FAILED, MISSING, Record
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.targets import GATES
from benchmarks.harness.ratios import Ratio

MEASURED = "measured"


class Missing(Exception):
    """This cannot be measured here, for the reason given."""


class Case:
    """What one benchmark notes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: dict[str, Any] = {}
        self.gates: list[dict[str, Any]] = []

    def note(self, **figures: Any) -> None:
        """A `Ratio` is noted as its fields."""
        for name, value in figures.items():
            self.figures[name] = vars(value) if isinstance(value, Ratio) else value

    def times(self, name: str, seconds: list[float], per: int = 1) -> None:
        """Microseconds of one call out of `per`, with their spread."""
        self.figures[f"{name}_us"] = vars(of(seconds, 1e6 / per)) | {"calls": per}

    def gate(self, name: str, value: Ratio) -> None:
        gate = GATES[name]
        self.gates.append({
            "gate": name, "case": self.name, "value": value.median, "low": value.low, "high": value.high,
            "what": gate.what, "target": gate.asked, "met": gate.met(value.median),
        })  # fmt: skip


class Bench:
    def __init__(self, record: Record, group: str, device: str, clock: Clock, sizes: Sizes) -> None:
        self.record, self.group, self.device, self.clock, self.sizes = record, group, device, clock, sizes

    @contextmanager
    def case(self, name: str) -> Iterator[Case]:
        """A benchmark; an exception in it is recorded, and the next one may go on."""
        case, start = Case(name), time.monotonic()
        entry: dict[str, Any] = {"name": name, "group": self.group, "state": MEASURED}
        try:
            yield case
        except Missing as reason:
            entry |= {"state": MISSING, "reason": str(reason)}
            self.record.miss(str(reason))
        except Exception as error:
            entry |= {"state": FAILED, "reason": f"{type(error).__name__}: {error}"[:1000],
                      "traceback": traceback.format_exc()}  # fmt: skip
            traceback.print_exc()
        entry |= {"seconds": time.monotonic() - start, "figures": case.figures, "gates": case.gates}
        self.record.add(entry)
        print(f"{name}: {entry['state']} in {entry['seconds']:.1f} s", flush=True)
        self._let_go()

    def _let_go(self) -> None:
        gc.collect()
        if self.device == "cuda":
            try:
                torch.cuda.empty_cache()
            except RuntimeError as error:  # an earlier benchmark broke the device's context
                print(error)
