"""The tests that need a device, and small calls under compute-sanitizer."""

from __future__ import annotations

import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.gpu.facts import nvcc
from benchmarks.gpu.record import FAILED, MISSING, PASSED
from benchmarks.gpu.shell import Outcome, Shell

TESTS_LIMIT, SANITIZER_LIMIT = 200, 90
TOOLS = ("memcheck", "racecheck")
FOUND = 86  # exit status of compute-sanitizer where it found something


def tests(shell: Shell, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`pytest -m cuda`: the stage's entry, and what came of the tests."""
    xml = out / "tests.xml"
    xml.unlink(missing_ok=True)
    # Other tests may import what is not installed here; that must not keep these from running.
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-v", "-p", "no:cacheprovider", "--tb=short",
               "--color=no", "--continue-on-collection-errors", f"--junitxml={xml}", "tests"]  # fmt: skip
    # No plugins: the tests need none, and what one of a large environment warns of would be an error.
    done = shell.run(command, TESTS_LIMIT, NEUROCENSUS_REQUIRE_CUDA="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    found = from_junit(xml.read_text(encoding="utf-8")) if xml.exists() else from_log(done.output)
    stage = {"state": done.state, "seconds": done.seconds, "reason": done.reason}
    if done.state == PASSED and not found["passed"]:
        stage |= {"state": FAILED, "reason": "no test ran"}
    return stage, found


def from_junit(text: str) -> dict[str, Any]:
    """Totals, names of what failed, and why tests were skipped how often."""
    totals: Counter[str] = Counter()
    failed: list[str] = []
    skipped: Counter[str] = Counter()
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag: child for child in case}
        kind = next((k for k in ("error", "failure", "skipped") if k in kinds), "passed")
        totals[kind] += 1
        if kind in ("error", "failure"):
            failed.append(f"{name}: {(kinds[kind].get('message') or '').strip()[:300]}")
        if kind == "skipped":
            skipped[kinds[kind].get("message") or ""] += 1
    return _totals(totals, failed, dict(skipped))


def from_log(text: str) -> dict[str, Any]:
    """The same of a run that was stopped, from what ``pytest -v`` had said by then."""
    totals: Counter[str] = Counter()
    failed = []
    for name, word in re.findall(r"^(\S+::.+?) (PASSED|FAILED|SKIPPED|ERROR)\b", text, re.MULTILINE):
        totals[{"FAILED": "failure"}.get(word, word.lower())] += 1
        if word in ("FAILED", "ERROR"):
            failed.append(name)
    return _totals(totals, failed, {}) | {"incomplete": True}


def _totals(totals: Counter[str], failed: list[str], skipped: dict[str, int]) -> dict[str, Any]:
    return {
        "passed": totals["passed"], "failed": totals["failure"], "errors": totals["error"],
        "skipped": totals["skipped"], "names_of_failed": failed, "reasons_of_skipped": skipped,
    }  # fmt: skip


def sanitizer() -> str | None:
    """compute-sanitizer, in PATH or beside nvcc."""
    compiler = nvcc()
    # By its own name and through links: a toolkit's `bin` is often not in PATH.
    folders = [os.path.dirname(path) for path in (compiler, compiler and os.path.realpath(compiler)) if path]
    return shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path=os.pathsep.join(folders)
    )


def sanitize(shell: Shell, tool: str, program: str) -> dict[str, Any]:
    """`small_run` under one of the sanitizer's tools."""
    command = [program, "--tool", tool, "--error-exitcode", str(FOUND), "--report-api-errors", "no",
               "--print-limit", "20", sys.executable, "-m", "benchmarks.gpu.small_run"]  # fmt: skip
    # Without torch's cache every tensor is an allocation of its own, whose ends memcheck knows.
    done = shell.run(command, SANITIZER_LIMIT, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
    return sanitized(done)


def sanitized(done: Outcome) -> dict[str, Any]:
    summary = re.findall(r"^=+ ((?:ERROR|RACECHECK) SUMMARY: .*)$", done.output, re.MULTILINE)
    entry = {"state": done.state, "seconds": done.seconds, "reason": done.reason,
             "summary": summary[-1] if summary else ""}  # fmt: skip
    if re.search(r"Device not supported|Unable to find .*injection|Failed to initialize", done.output):
        return entry | {"state": MISSING, "reason": "compute-sanitizer does not work on this machine"}
    if done.status == FOUND:
        return entry | {"state": FAILED, "reason": f"found something: {entry['summary']}"}
    if done.state == PASSED and not summary:  # it must have looked
        return entry | {"state": FAILED, "reason": "compute-sanitizer gave no summary"}
    return entry
