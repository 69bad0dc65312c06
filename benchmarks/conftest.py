"""The options of a run, the recorder of its numbers, and the table of gates at its end."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.buffers import THREADS
from benchmarks.gates import GATES
from benchmarks.ratios import Pairs, Ratio, interleaved
from neurocensus import _core

_OUTCOMES = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("neurocensus benchmarks")
    group.addoption("--gate", action="store_true", help="a missed target fails its benchmark")
    group.addoption("--rounds", type=int, help="at most so many rounds of each benchmark")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = []


@pytest.fixture(autouse=True, scope="session")
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


class Recorder:
    """One benchmark: times pairs, stores numbers with them, and holds them against the gates."""

    def __init__(self, benchmark: BenchmarkFixture, config: pytest.Config) -> None:
        self.benchmark, self._config = benchmark, config
        self._missed: list[str] = []

    def pairs(
        self,
        candidate: Callable[..., Any],
        baseline: Callable[[], Any],
        *,
        rounds: int,
        prepare: Callable[[], tuple[Any, ...]] = tuple,
    ) -> Pairs:
        """Interleave both, see `ratios.interleaved`."""
        rounds = min(rounds, self._config.getoption("rounds") or rounds)
        return interleaved(self.benchmark, candidate, baseline, prepare=prepare, rounds=rounds)

    def note(self, **numbers: float | str) -> None:
        """Store numbers beside the times; they become columns of the report."""
        self.benchmark.extra_info.update(numbers)

    def gate(self, name: str, ratio: Ratio) -> None:
        """Hold a ratio against a gate. A single untimed round (``--benchmark-disable``) is not held."""
        if self.benchmark.disabled:
            return
        gate, value = GATES[name], ratio.median
        outcome = {
            "gate": name, "case": self.benchmark.name, "value": value, "low": ratio.low, "high": ratio.high,
            "what": gate.what, "target": gate.target, "met": gate.met(value),
        }  # fmt: skip
        self.benchmark.extra_info.setdefault("gates", []).append(outcome)
        self._config.stash[_OUTCOMES].append(outcome)
        if not outcome["met"]:
            self._missed.append(f"{gate.what}: {value:.3g}, expected {gate.target}")

    def finish(self) -> None:
        """With ``--gate``, fail for what was missed."""
        if self._missed and self._config.getoption("gate"):
            pytest.fail("\n".join(self._missed), pytrace=False)


@pytest.fixture
def record(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    recorder = Recorder(benchmark, request.config)
    yield recorder
    recorder.finish()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    outcomes = config.stash[_OUTCOMES]
    if not outcomes:
        return
    terminalreporter.section("gates")
    for outcome in outcomes:
        terminalreporter.write_line(
            f"{'met   ' if outcome['met'] else 'MISSED'} {outcome['value']:8.3g}  "
            f"({outcome['low']:.3g} to {outcome['high']:.3g})  {outcome['target']:13}  {outcome['case']}"
        )
    measured = {outcome["gate"] for outcome in outcomes}
    if missing := [name for name in GATES if name not in measured]:
        terminalreporter.write_line(f"not measured: {'; '.join(missing)}")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.pop("node", None)  # a host's name says nothing about speed
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine_info["neurocensus"] = {
        "memory_gib": round(memory / 2**30, 1),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "compiler": _core.compiler(),
        "instruction_set": _core.instruction_set(),
        "torch": torch.__version__,
        "threads": THREADS,
    }
