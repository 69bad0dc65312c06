"""Audits, is killed, audits on, and says whether that made a difference. Run as a program by test_kill.py.

A program of its own, because it forks: a child for each run, so that torch is imported once.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from neurocensus import pages, report, running, storage
from neurocensus.cli import app, census, top
from neurocensus.result import Audit

from ..dying import Sites

SOURCES: Final = {
    "arrays": ["x.npz", "--batch-size", "5"],
    "cut": ["x.npz", "--batch-size", "4", "--max-examples", "30"],
    "map": ["x.npy", "--batch-size", "5"],
    "images": ["images", "--batch-size", "4", "--image-size", "6", "--skip-unreadable", "--workers=0"],
    "shuffled": ["net.py:shuffled"],
    "stream": ["net.py:stream"],
}


@dataclass
class Job:
    """An audit that is killed.

    source: one of `SOURCES`.
    every: examples between two checkpoints.
    kills: one per run: the number of the site at which it is killed, or after so many seconds (float).
    """

    source: str
    every: int
    kills: list[int | float]


class AuditSites(Sites):
    """Also before and after each batch."""

    def put_up(self) -> None:
        super().put_up()
        running.moved = self.around(running.moved)
        census._explained = lambda forward: self.around(forward)


def save_audit(audit: Audit, folder: Path) -> list[Path]:
    """Of all results the one that matters here; the plots take a second."""
    return pages.write_files(folder, {"audit.safetensors": storage.dump(audit)})


def run(out: Path, job: Job, kill: int | float | None, words: list[str]) -> tuple[bool, int]:
    """Audit in a child; whether it lived to the end, and how many sites it passed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        sites = AuditSites(kill if isinstance(kill, int) else None)
        sites.put_up()
        said = io.StringIO()
        code = 70
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                given = ["audit", "net.py:net", "--data", *SOURCES[job.source], "--top", "2", "--histogram"]
                code = app([*given, "--out", str(out), *words], standalone_mode=False) or 0
        except BaseException:
            traceback.print_exc(file=said)
        if code:
            print(said.getvalue(), file=sys.stderr, flush=True)
        os.write(write, str(sites.passed).encode())
        os._exit(code)
    os.close(write)
    if isinstance(kill, float):
        time.sleep(kill)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    passed = int(os.read(read, 20) or 0)
    os.close(read)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, status
        return True, passed
    assert os.WTERMSIG(status) == signal.SIGKILL
    return False, passed


def left_in(out: Path) -> dict[str, bytes]:
    """Files by name, but for what a kill left half-written under a name of no meaning."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.suffix != ".tmp"
    }


def complaint(job: Job, out: Path, wanted: dict[str, bytes]) -> str:
    """What came out other than it should have; empty if nothing did."""
    words = ["--checkpoint-every", str(job.every), "--resume"]
    for kill in job.kills:
        if run(out, job, kill, words)[0]:
            break
        for name in ("audit.safetensors", "top/top.safetensors"):
            if (out / name).exists() and (out / name).read_bytes() != wanted[name]:
                return f"{name} is there too early"
    if not run(out, job, None, words)[0]:
        return "killed"
    found = left_in(out)
    found.pop("audit-finished.json")
    differing = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    return f"differing: {differing}" if differing else ""


def main(folder: Path, seed: int, count: int) -> None:
    torch.set_num_threads(1)
    report.save_all = save_audit  # type: ignore[assignment]
    top.pictures = lambda *_: top.Shown(None)
    rng = random.Random(seed)
    wanted: dict[str, dict[str, bytes]] = {}
    sites: dict[tuple[str, int], int] = {}
    complaints = []
    for number in range(count):
        source = list(SOURCES)[number % len(SOURCES)]
        job = Job(source, rng.choice([1, 7, 12]), [])
        if source not in wanted:
            assert run(folder / f"wanted {source}", job, None, [])[0]
            wanted[source] = left_in(folder / f"wanted {source}")
        kind = source, job.every
        if kind not in sites:
            words = ["--checkpoint-every", str(job.every)]
            _, sites[kind] = run(folder / f"{number} counted", job, None, words)
        for _ in range(rng.randint(1, 3)):
            job.kills.append(rng.randint(1, sites[kind]) if rng.random() < 0.85 else rng.uniform(0, 0.1))
        if wrong := complaint(job, folder / str(number), wanted[source]):
            complaints.append(f"{job}: {wrong}")
    print(json.dumps({"jobs": count, "complaints": complaints}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
