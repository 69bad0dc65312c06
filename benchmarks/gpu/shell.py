"""Commands with a time limit; all they say goes to one log."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.record import FAILED, LATE, PASSED


@dataclass(frozen=True)
class Outcome:
    state: str
    status: int
    seconds: float
    output: str

    @property
    def reason(self) -> str:
        """The last thing said before a failure; nothing where there was none."""
        if self.state == PASSED:
            return ""
        if self.state == LATE:
            return f"stopped after {self.seconds:.0f} s"
        said = [line.strip() for line in self.output.splitlines() if line.strip()]
        return f"exit status {self.status}: {said[-1].strip('= ')[:300] if said else 'no output'}"


class Shell:
    """Runs commands in `folder`, until the time for all of them is used up."""

    def __init__(self, folder: Path, log: Path, environment: Mapping[str, str], budget: float) -> None:
        self.folder, self.log, self.environment = folder, log, dict(environment)
        self._end = time.monotonic() + budget

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def run(self, command: Sequence[str | Path], limit: float, **environment: str) -> Outcome:
        words = [str(word) for word in command]
        limit = min(limit, self.left)
        start = time.monotonic()
        if limit <= 1:
            return Outcome(LATE, -1, 0.0, "the time for all stages was used up")
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"\n$ {' '.join(words)}\n")
            log.flush()
            begin = log.tell()
            try:
                process = subprocess.Popen(
                    words, cwd=self.folder, env=self.environment | environment, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT,
                    preexec_fn=os.setpgrp,  # so that a compiler's own processes end with it
                )  # fmt: skip
            except OSError as error:
                log.write(f"{error}\n")
                return Outcome(FAILED, 127, 0.0, str(error))
            try:
                status = process.wait(limit)
                state = FAILED if status else PASSED
            except subprocess.TimeoutExpired:
                state, status = LATE, -1
                log.write(f"\nstopped after {limit:.0f} s\n")
            finally:
                _end(process)
            log.seek(begin)
            return Outcome(state, status, time.monotonic() - start, log.read())


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
