"""The options of a run, the fixture `record`, and the table of targets at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.harness import machine
from benchmarks.harness.recorder import Recorder
from benchmarks.harness.targets import TARGETS
from benchmarks.workloads import sizes

_OUTCOMES = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("neurocensus benchmarks")
    group.addoption(
        "--short", action="store_true", help="small workloads, each benchmark once: results, no times"
    )
    group.addoption("--gate", action="store_true", help="a missed target fails its benchmark")
    group.addoption("--rounds", type=int, help="at most so many rounds of each benchmark")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gated: one of those that `make bench-check` runs")
    config.stash[_OUTCOMES] = []
    if config.getoption("short"):
        config.option.benchmark_disable = True
        patch = pytest.MonkeyPatch()
        patch.setenv(sizes.VARIABLE, "1")  # before a benchmark is imported
        config.add_cleanup(patch.undo)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(sizes.size(sizes.THREADS, 1))  # short: nothing is timed, and cores may be busy
    yield
    torch.set_num_threads(before)


@pytest.fixture
def record(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    recorder = Recorder(benchmark, request.config.getoption("rounds"))
    yield recorder
    request.config.stash[_OUTCOMES] += recorder.outcomes


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    result = yield
    recorder = pyfuncitem.funcargs.get("record")
    if isinstance(recorder, Recorder) and pyfuncitem.config.getoption("gate"):
        recorder.fail_missed()
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    outcomes = config.stash[_OUTCOMES]
    if not outcomes:
        return
    terminalreporter.section("targets")
    for outcome in outcomes:
        terminalreporter.write_line(
            f"{'met   ' if outcome['met'] else 'MISSED'} {outcome['value']:8.3g}  "
            f"({outcome['low']:.3g} to {outcome['high']:.3g})  {outcome['asked']:13}  {outcome['case']}"
        )
    measured = {outcome["target"] for outcome in outcomes}
    if missing := [name for name in TARGETS if name not in measured]:
        terminalreporter.write_line(f"not measured: {'; '.join(missing)}")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.pop("node", None)  # a host's name says nothing about speed
    machine_info["neurocensus"] = machine.describe()
