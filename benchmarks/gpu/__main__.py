"""Build with CUDA, test and measure on this machine's GPU; one JSON and one log come out.

``make gpu OUT=folder``. Nothing is downloaded or installed, and nothing outside the build folder and OUT is
written. A missing tool is said, recorded, and does not keep the rest from running.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gpu import build, checks, facts
from benchmarks.gpu.record import FAILED, MISSING, PASSED, Record, outcomes, problems
from benchmarks.gpu.shell import Shell
from benchmarks.gpu.table import lines

ROOT = Path(__file__).parents[2]
STAGES = ("build", "tests", "kernels", "audits", "sanitizer")  # in this order; the last is the slowest
LIMITS: Mapping[str, Mapping[str, float]] = {  # seconds, of the groups of each stage
    "kernels": {"kernels": 120, "calls": 60},
    "audits": {"vgg16": 150, "resnet50": 180, "transformer": 150},
}
_NEEDED = {"tests": {"pytest": "the tests", "hypothesis": "the tests"}}


class Run:
    def __init__(self, given: argparse.Namespace) -> None:
        self.out: Path = given.out.resolve()
        self.device: str = given.device
        self.build: Path = given.build.resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.architectures: str = given.architectures
        log = self.out / "gpu.log"
        log.unlink(missing_ok=True)
        self.shell = Shell(ROOT, log, self._environment(), given.budget)

    def _environment(self) -> dict[str, str]:
        # The build first: another neurocensus may be installed.
        paths = [str(self.build / "site")] if self.device == "cuda" else []
        paths += [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}

    def ask(self, which: str) -> dict[str, Any]:
        done = self.shell.run([sys.executable, "-m", "benchmarks.gpu.facts", which, self.device], 120)
        try:
            answer: dict[str, Any] = json.loads(done.output.strip().splitlines()[-1])
        except (IndexError, ValueError):
            return {"problem": done.reason or "no answer"}
        return answer

    def start(self) -> Record:
        code = facts.code(ROOT)  # first: what is written from here on is no change of it
        machine = self.ask("machine")
        device = machine.get("device") or "unknown device"
        name = re.sub(r"[^a-z0-9]+", "-", f"{device}".lower()).strip("-")
        self.architectures = self.architectures or build.architecture_of(machine.get("compute_capability"))
        self.record = Record.new(
            self.out / f"gpu-{name}-{code['commit'][:12]}.json",
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            device=device, dry=self.device == "cpu", code=code, machine=machine,
        )  # fmt: skip
        for reason in (machine.get("problem"), machine.get("no_device")):
            if reason:
                self.record.miss(f"no device to run on: {reason}")
        return self.record

    def stage(self, name: str) -> None:
        print(f"== {name}", flush=True)
        if absent := lacking(name):
            self.record.update("stages", **{name: {"state": MISSING, "reason": absent[0]}})
        elif name in LIMITS:
            self._measure(name)
        else:
            {"build": self._build, "tests": self._test, "sanitizer": self._sanitize}[name]()
        for key, entry in self.record.data["stages"].items():
            if key.partition(":")[0] == name:
                print(f"{key}: {entry['state']} {entry.get('reason', '')}", flush=True)

    def _build(self) -> None:
        entry = build.build(self.shell, ROOT, self.build, self.architectures)
        self.record.update("stages", build=entry)
        if entry["state"] == PASSED:
            found = self.ask("installed")
            self.record.update("machine", neurocensus=found)
            if not str(found.get("file", "")).startswith(str(self.build)):
                reason = f"expected to import {self.build}, got {found.get('file', found)}"
                self.record.update("stages", build=entry | {"state": FAILED, "reason": reason})

    def _test(self) -> None:
        stage, found = checks.tests(self.shell, self.out)
        self.record.data["tests"] = found
        self.record.update("stages", tests=stage)

    def _sanitize(self) -> None:
        program = checks.sanitizer() or "compute-sanitizer"
        for tool in checks.TOOLS:
            entry = checks.sanitize(self.shell, tool, program)
            self.record.data["sanitizer"][tool] = entry
            self.record.update("stages", **{f"sanitizer: {tool}": entry})
            if entry["state"] == MISSING:
                self.record.miss(f"{tool}: {entry['reason']}")

    def _measure(self, name: str) -> None:
        for group, limit in LIMITS[name].items():
            options = ["--record", str(self.record.path), "--device", self.device]
            command = [sys.executable, "-m", "benchmarks.gpu.run", group, *options]
            done = self.shell.run(command, limit)
            self.record.reload()
            entry = {"state": done.state, "seconds": done.seconds, "reason": done.reason}
            self.record.update("stages", **{f"{name}: {group}": entry})


def lacking(stage: str) -> list[str]:
    """What keeps a stage from running here, a sentence each."""
    if stage == "build":
        return build.lacking()
    if stage == "sanitizer":
        return (
            []
            if checks.sanitizer()
            else ["compute-sanitizer is not found: memcheck and racecheck cannot run"]
        )
    needed = _NEEDED.get(stage, {}).items()
    return [
        f"{package} is not installed: {use} cannot run" for package, use in needed if not find_spec(package)
    ]


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSON, the log and tests.xml")
    parser.add_argument("--stages", default="", help=f"out of: {' '.join(STAGES)}; default all")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run, tiny")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "gpu", help="folder to build in")
    parser.add_argument("--architectures", default="", help="CMAKE_CUDA_ARCHITECTURES; default the device's")
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything")
    parser.add_argument("--gate", action="store_true", help="a missed target is a failure")
    args = parser.parse_args(given)
    args.stages = args.stages.replace(",", " ").split() or list(STAGES)
    if unknown := [name for name in args.stages if name not in STAGES]:
        parser.error(f"stages: expected some of {' '.join(STAGES)}, got {' '.join(unknown)}")
    return args


def main(given: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 where something failed or could not be done, or, with --gate, a target."""
    args = arguments(given)
    if find_spec("torch") is None:
        print(f"torch is not installed for {sys.executable}: name the Python that holds it, "
              "make gpu PYTHON=/path/to/python3", file=sys.stderr)  # fmt: skip
        return 1
    run = Run(args)
    record = run.start()
    chosen = [name for name in STAGES if name in args.stages]
    for sentence in (sentence for name in chosen for sentence in lacking(name)):
        record.miss(sentence)
    for sentence in record.data["missing"]:  # at once: the first stage takes minutes
        print(sentence, file=sys.stderr)
    for name in chosen:
        run.stage(name)
    record.data["complete"] = True
    record.save()
    print("\n".join(["", *lines(record.data), "", f"{record.path}, {run.shell.log}"]))
    missed = any(not one["met"] for one in outcomes(record.data))
    return int(bool(problems(record.data)) or (args.gate and missed))


def stop(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does: the stage that is running is ended too."""
    signal.signal(number, signal.SIG_IGN)  # it often comes twice: by name, and to the group
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
